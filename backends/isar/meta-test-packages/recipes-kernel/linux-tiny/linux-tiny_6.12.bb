DESCRIPTION = "A kernel as small as one that boots an image in QEMU, of Debian's source"
MAINTAINER = "n3x <n3x@localhost>"

inherit linux-kernel

# Not a file of the source but a target of its makefiles: everything is off.
KERNEL_DEFCONFIG = "tinyconfig"
SRC_URI:append:qemuamd64 = " file://qemu.cfg"

LINUX_VERSION_EXTENSION = "-tiny"

# The source comes into the build root as a package, so that it need not be packed into a source package once more.
KBUILD_DEPENDS:append = " linux-source-${PV},"
S = "${WORKDIR}/source"
do_prepare_build:append() {
    sed -i '/^override_dh_auto_configure:/a \
	tar -x -f /usr/src/linux-source-${PV}.tar.xz --strip-components=1' ${S}/debian/rules
}
