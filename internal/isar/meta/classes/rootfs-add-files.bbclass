# Single files copied into the tree before and after the packages: ROOTFS_ADDITIONAL_FILES names entries whose
# flags [source] and [destination] say what goes where.

ROOTFS_ADDITIONAL_FILES ??= ""
ROOTFS_CONFIGURE_COMMAND += "rootfs_add_files"
ROOTFS_POSTPROCESS_COMMAND:prepend = "rootfs_add_files "
rootfs_add_files[vardeps] += "ROOTFS_ADDITIONAL_FILES"
rootfs_add_files() {
    n3x_native rootfs.add_files
}
python() {
    for name in (d.getVar('ROOTFS_ADDITIONAL_FILES') or '').split():
        d.appendVarFlag('rootfs_add_files', 'vardeps', ' ROOTFS_ADDITIONAL_FILE_' + name)
}
