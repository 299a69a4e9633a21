DESCRIPTION = "The build root of packages that are built on the target's architecture"

SBUILD_VARIANT = "target"
require sbuild-chroot.inc

SBUILD_CHROOT_PREINSTALL ?= " \
    ${SBUILD_CHROOT_PREINSTALL_COMMON} \
    ${@'apt-utils' if bb.utils.to_boolean(d.getVar('ISAR_ENABLE_COMPAT_ARCH')) else ''} \
"
