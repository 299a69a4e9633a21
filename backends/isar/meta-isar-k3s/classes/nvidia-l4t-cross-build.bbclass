# Puts NVIDIA's packages for Jetson boards into an image that is made on another machine, and checks that they came.
# It is a class of images (IMAGE_CLASSES); images of machines that are no Jetson are left alone.

# Without this file nvidia-l4t-core looks for the board that it is being installed on, and refuses what is none.
L4T_MARKER = "/opt/nvidia/l4t-packages/.nv-l4t-disable-boot-fw-update-in-preinstall"

# What a board cannot be kept without: switching boot slots, watching it, and its clocks.
L4T_REQUIRED_BINARIES ?= "nvbootctrl tegrastats jetson_clocks"

ROOTFS_INSTALL_COMMAND:prepend = "${@'rootfs_create_l4t_marker ' if d.getVar('MACHINE').startswith('jetson-') else ''}"
# n3x: packages of Debian need not wait for it, and come from the cache.
rootfs_create_l4t_marker[before] = "own-packages"
rootfs_create_l4t_marker() {
    sudo mkdir -p "${ROOTFSDIR}$(dirname '${L4T_MARKER}')"
    sudo touch "${ROOTFSDIR}${L4T_MARKER}"
}

ROOTFS_POSTPROCESS_COMMAND:append = "${@' rootfs_validate_l4t_binaries rootfs_write_l4t_boot_entry' if d.getVar('MACHINE').startswith('jetson-') else ''}"
rootfs_validate_l4t_binaries() {
    missing=""
    for name in ${L4T_REQUIRED_BINARIES}; do
        found=""
        for dir in usr/sbin usr/bin sbin bin; do
            if [ -f "${ROOTFSDIR}/$dir/$name" ]; then
                found="/$dir/$name"
            fi
        done
        if [ -z "$found" ]; then
            missing="$missing $name"
        fi
    done
    if [ -n "$missing" ]; then
        bbfatal "the image for ${MACHINE} lacks programs of NVIDIA's packages:$missing; add nvidia-l4t-core and nvidia-l4t-tools to IMAGE_INSTALL, or set L4T_REQUIRED_BINARIES"
    fi
}

# The board's firmware reads from this file what it starts. NVIDIA's flasher puts its own kernel into /boot/Image; the image's is started
# instead when it has been compiled for this processor, which Debian's is not.
rootfs_write_l4t_boot_entry() {
    kernel="/boot/Image"
    initrd="/boot/initrd"
    for config in "${ROOTFSDIR}"/boot/config-*; do
        if grep -q -s '^CONFIG_ARCH_TEGRA_234_SOC=y' "$config"; then
            version=$(basename "$config" | sed 's/^config-//')
            kernel="/boot/$(cd "${ROOTFSDIR}/boot" && ls -d vmlinu[xz]-"$version")"
            initrd="/boot/initrd.img-$version"
        fi
    done
    sudo mkdir -p "${ROOTFSDIR}/boot/extlinux"
    sudo tee "${ROOTFSDIR}/boot/extlinux/extlinux.conf" > /dev/null << EOF
TIMEOUT 30
DEFAULT primary
MENU TITLE ${MACHINE}

LABEL primary
    MENU LABEL primary kernel
    LINUX $kernel
    INITRD $initrd
    APPEND \${cbootargs} root=PARTLABEL=APP rw rootwait rootfstype=ext4 console=${MACHINE_SERIAL},${BAUDRATE_TTY} net.ifnames=0 biosdevname=0
EOF
}
