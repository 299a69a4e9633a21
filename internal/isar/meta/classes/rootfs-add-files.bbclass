# Single files copied into the tree before and after the packages: ROOTFS_ADDITIONAL_FILES names entries, and
# ROOTFS_ADDITIONAL_FILE_<entry> says with its flags [source] and [destination] what goes where. An entry without a source
# makes an empty file.

ROOTFS_ADDITIONAL_FILES ??= ""
ROOTFS_INSTALL_COMMAND =+ "rootfs_add_files"

rootfs_add_files[vardeps] += "ROOTFS_ADDITIONAL_FILES"
rootfs_add_files() {
    n3x_native rootfs.add_files
}
python() {
    for name in (d.getVar('ROOTFS_ADDITIONAL_FILES') or '').split():
        d.appendVarFlag('rootfs_add_files', 'vardeps', ' ROOTFS_ADDITIONAL_FILE_' + name)
}

ROOTFS_INSTALL_COMMAND += "rootfs_add_files"
