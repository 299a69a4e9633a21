# Generates the locales of LOCALE_GEN and removes the translations of all others.

LOCALE_GEN ?= "en_US.UTF-8 UTF-8\n\
               en_US ISO-8859-1\n"
LOCALE_DEFAULT ?= "en_US.UTF-8"

ROOTFS_INSTALL_COMMAND_BEFORE_EXPORT += "image_install_localepurge_download"
image_install_localepurge_download() {
    :
}

ROOTFS_INSTALL_COMMAND += "image_install_localepurge_install"
image_install_localepurge_install[weight] = "700"
image_install_localepurge_install[vardeps] += "LOCALE_GEN LOCALE_DEFAULT"
image_install_localepurge_install() {
    n3x_native image.locales
}
