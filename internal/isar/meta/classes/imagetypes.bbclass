# Image types that are one archive or one file system. Sorted, and with times no newer than SOURCE_DATE_EPOCH.

TAR_OPTIONS ?= ""
IMAGE_CMD:tar() {
    n3x_native image.tar
}

IMAGE_CMD:ext4() {
    n3x_native image.ext4
}

CPIO_IMAGE_FORMAT ?= "newc"
IMAGE_CMD:cpio() {
    n3x_native image.cpio
}

IMAGE_CONVERSIONS = "gz xz zst zck"
CONVERSION_CMD:gz = "${SUDO_CHROOT} sh -c 'gzip -f -9 -n -c --rsyncable ${IMAGE_FILE_CHROOT} > ${IMAGE_FILE_CHROOT}.gz'"
CONVERSION_DEPS:gz = "gzip"
CONVERSION_CMD:xz = "${SUDO_CHROOT} sh -c 'xz -c ${XZ_DEFAULTS} ${IMAGE_FILE_CHROOT} > ${IMAGE_FILE_CHROOT}.xz'"
CONVERSION_DEPS:xz = "xz-utils"
CONVERSION_CMD:zst = "${SUDO_CHROOT} sh -c 'zstd -q -f -c --sparse ${ZSTD_DEFAULTS} ${IMAGE_FILE_CHROOT} > ${IMAGE_FILE_CHROOT}.zst'"
CONVERSION_DEPS:zst = "zstd"
