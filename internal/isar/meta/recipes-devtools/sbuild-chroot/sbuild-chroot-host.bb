DESCRIPTION = "The build root of packages that are cross-built, or built for the machine that builds"

SBUILD_VARIANT = "host"
require sbuild-chroot.inc

ROOTFS_ARCH = "${HOST_ARCH}"
ROOTFS_DISTRO = "${HOST_DISTRO}"
ROOTFS_BASE_DISTRO = "${HOST_BASE_DISTRO}"

SBUILD_CHROOT_PREINSTALL ?= "${SBUILD_CHROOT_PREINSTALL_COMMON} crossbuild-essential-${DISTRO_ARCH} apt-utils"
