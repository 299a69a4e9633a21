DESCRIPTION = "The smallest kernel of Debian's source that boots an image in QEMU"
MAINTAINER = "n3x <n3x@localhost>"

inherit linux-kernel

SRC_URI += "apt://linux"

# Not a file of the source but a target of its makefiles: everything is off.
KERNEL_DEFCONFIG = "tinyconfig"
SRC_URI:append:amd64 = " file://qemu.cfg"

LINUX_VERSION_EXTENSION = "-tiny"
