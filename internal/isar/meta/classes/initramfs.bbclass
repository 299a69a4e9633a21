# A root file system whose only product is its initrd; images take it by IMAGE_INITRD.

WORKDIR = "${TMPDIR}/work/${DISTRO}-${DISTRO_ARCH}/${PN}-${MACHINE}/${PV}-${PR}"
DEPLOYDIR = "${WORKDIR}/deploy"
STAMP = "${STAMPS_DIR}/${DISTRO}-${DISTRO_ARCH}/${PN}-${MACHINE}/${PV}-${PR}"
STAMPCLEAN = "${STAMPS_DIR}/${DISTRO}-${DISTRO_ARCH}/${PN}-${MACHINE}/*-*"

# Recipes and Debian packages to install, and the one that makes the initrd.
INITRAMFS_INSTALL ?= ""
INITRAMFS_PREINSTALL ?= ""
INITRAMFS_GENERATOR_PKG ??= "initramfs-tools"
INITRAMFS_ROOTFS ?= "${WORKDIR}/rootfs"
INITRAMFS_FULLNAME = "${PN}-${DISTRO}-${MACHINE}"
INITRAMFS_IMAGE_NAME = "${INITRAMFS_FULLNAME}-initrd.img"
INITRD_DEPLOY_FILE = "${INITRAMFS_IMAGE_NAME}"

INITRAMFS_INSTALL += "${@ 'linux-image-' + d.getVar('KERNEL_NAME') if d.getVar('KERNEL_NAME') else ''}"
DEPENDS += "${INITRAMFS_INSTALL}"

ROOTFSDIR = "${INITRAMFS_ROOTFS}"
ROOTFS_FEATURES = "generate-manifest generate-initrd"
ROOTFS_PACKAGES = "${INITRAMFS_GENERATOR_PKG} ${INITRAMFS_PREINSTALL} ${INITRAMFS_INSTALL}"
ROOTFS_MANIFEST_DEPLOY_DIR = "${DEPLOY_DIR_IMAGE}"
ROOTFS_PACKAGE_SUFFIX = "${INITRAMFS_FULLNAME}"

# Packages for the other generator have its name in theirs: they would be ignored silently.
do_validate_rootfs_packages[vardeps] += "INITRAMFS_GENERATOR_PKG ROOTFS_PACKAGES"
do_validate_rootfs_packages() {
    case "${INITRAMFS_GENERATOR_PKG}" in
        initramfs-tools) other=dracut ;;
        dracut) other=initramfs ;;
        *) other="" ;;
    esac
    wrong=""
    for package in ${ROOTFS_PACKAGES}; do
        case "$package" in
            *"${other:-/}"*) wrong="$wrong $package" ;;
        esac
    done
    if [ -n "$wrong" ]; then
        bbfatal "${PN} makes its initrd with ${INITRAMFS_GENERATOR_PKG}, which has no use for:$wrong"
    fi
}
addtask validate_rootfs_packages before do_rootfs_install

inherit rootfs
