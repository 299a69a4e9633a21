# Last touches to an image's root file system.

# Usage: update_etc_os_release [--build-id ID] [--variant TEXT] [--version VERSION]
update_etc_os_release() {
    while [ $# -gt 0 ]; do
        case "$1" in
            --build-id) os_release_key=BUILD_ID ;;
            --variant) os_release_key=VARIANT ;;
            --version) os_release_key=VARIANT_VERSION ;;
            *) bbfatal "update_etc_os_release: unknown option $1" ;;
        esac
        if [ -n "$2" ]; then
            sudo sed -i "/^$os_release_key=/d" '${IMAGE_ROOTFS}/etc/os-release'
            echo "$os_release_key=\"$2\"" | sudo tee -a '${IMAGE_ROOTFS}/etc/os-release'
        fi
        shift 2
    done
}

ROOTFS_POSTPROCESS_COMMAND =+ "image_postprocess_configure "
image_postprocess_configure() {
    if [ -n "${DISTRO_CONFIG_SCRIPT}" ]; then
        sudo install -m 755 "${WORKDIR}/${DISTRO_CONFIG_SCRIPT}" '${IMAGE_ROOTFS}/n3x-config-script'
        sudo chroot '${IMAGE_ROOTFS}' /n3x-config-script "${MACHINE_SERIAL}" "${BAUDRATE_TTY}"
        sudo rm '${IMAGE_ROOTFS}/n3x-config-script'
    fi
}

ROOTFS_POSTPROCESS_COMMAND =+ "image_postprocess_mark "
image_postprocess_mark() {
    BUILD_ID=$(get_build_id)
    update_etc_os_release --build-id "$BUILD_ID" --variant "${DESCRIPTION}" --version "${PV}"
}

ROOTFS_POSTPROCESS_COMMAND =+ "image_postprocess_machine_id "
image_postprocess_machine_id() {
    n3x_native image.machine_id
}

ROOTFS_POSTPROCESS_COMMAND =+ "image_postprocess_sshd_key_regen "
image_postprocess_sshd_key_regen() {
    n3x_native image.sshd_key_regen
}

ROOTFS_POSTPROCESS_COMMAND =+ "image_postprocess_disable_systemd_firstboot "
image_postprocess_disable_systemd_firstboot() {
    n3x_native image.disable_systemd_firstboot
}
