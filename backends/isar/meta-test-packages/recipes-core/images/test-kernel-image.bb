DESCRIPTION = "Boots a kernel of our own, which loads a module that was compiled against its headers"

inherit image

PV = "1.0"

KERNEL_IMAGE_PKG = "linux-image-tiny"
# zstd: the kernel unpacks no other initrd.
IMAGE_PREINSTALL += "systemd systemd-sysv udev dbus kmod zstd"
IMAGE_INSTALL += "test-module-tiny"

IMAGE_FSTYPES = "ext4"
IMAGE_FSTYPES:remove = "wic.zst"
COMPATIBLE_MACHINE = "qemuamd64"
