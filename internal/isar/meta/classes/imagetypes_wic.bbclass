# The disk image described by WKS_FILE: a kickstart file in a layer's wic folder, or below scripts/lib/wic/canned-wks.

WKS_FILE ??= "sdimage-efi"
WIC_CREATE_EXTRA_ARGS ?= ""
WIC_DEPLOY_PARTITIONS ?= "0"
IMAGE_BOOT_FILES ?= ""
IMAGE_EFI_BOOT_FILES ?= ""
IMAGE_BASENAME ?= "${PN}-${DISTRO}"
STAGING_DIR ?= "${TMPDIR}"

# Variables that a .wks file may use.
WICVARS += "BBLAYERS DEPLOY_DIR_IMAGE IMAGE_BASENAME IMAGE_BOOT_FILES IMAGE_EFI_BOOT_FILES IMAGE_LINK_NAME \
    IMAGE_ROOTFS ROOTFS_SIZE STAGING_DIR APPEND DISTRO DISTRO_ARCH KERNEL_FILE MACHINE"

do_rootfs_wicenv[vardeps] += "WICVARS"
python do_rootfs_wicenv() {
    bb.build.exec_func('n3x_do_rootfs_wicenv', d)
}
n3x_do_rootfs_wicenv() {
    n3x_native image.wicenv
}
addtask rootfs_wicenv after do_rootfs before do_image_wic

IMAGE_CMD:wic[vardeps] += "WKS_FILE WIC_CREATE_EXTRA_ARGS WIC_DEPLOY_PARTITIONS WICVARS IMAGE_EFI_BOOT_FILES"
IMAGE_CMD:wic() {
    n3x_native image.wic
}
do_image_wic[vardeps] += "WKS_FILE WIC_CREATE_EXTRA_ARGS WIC_DEPLOY_PARTITIONS N3X_WKS_DIGEST"
python() {
    if 'wic' in get_image_basetypes(d).split():
        bb.build.addtask('do_transform_template', 'do_image_wic', None, d)
}
