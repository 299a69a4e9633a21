# For which architecture a recipe's packages are (PACKAGE_ARCH), on which they are built (BUILD_ARCH), and in which build root.
#
# Packages of a foreign machine are cross-built in the host's root unless ISAR_CROSS_COMPILE is "0"; then, and where host and
# target are the same, they are built in the target's root.

ISAR_CROSS_COMPILE ??= "1"

inherit compat

python() {
    host = d.getVar('HOST_ARCH')
    target = d.getVar('DISTRO_ARCH')
    compat = d.getVar('COMPAT_DISTRO_ARCH')
    package = d.getVar('PACKAGE_ARCH')
    flavor = d.getVar('SBUILD_FLAVOR')
    suffix = '-' + flavor if flavor else ''

    cross = bb.utils.to_boolean(d.getVar('ISAR_CROSS_COMPILE')) and package in [target, compat, '${BUILD_ARCH}']
    on_host = target != host and (package == host or cross)
    kind = 'host' if on_host else 'target'
    toolchain = 'crossbuild-essential-' + target if on_host else 'build-essential'
    if isar_can_build_compat(d):
        toolchain += ' crossbuild-essential-' + compat

    d.setVar('BUILD_ARCH', host if on_host else target)
    d.setVar('SCHROOT_DIR', d.getVar('SCHROOT_' + kind.upper() + '_DIR', False) + suffix)
    d.setVar('SCHROOT_DEP', 'sbuild-chroot-' + kind + suffix + ':do_build')
    d.setVar('SDK_TOOLCHAIN', toolchain)
}
