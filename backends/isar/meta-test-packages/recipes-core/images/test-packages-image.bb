DESCRIPTION = "All packages of this layer in one image"

inherit image

PV = "1.0"

IMAGE_PREINSTALL += "systemd systemd-sysv udev dbus kmod procps"

TEST_PACKAGES ?= "test-autotools test-cmake test-greet test-config test-prebuilt test-service cowsay ncompress"
# A module for Debian's kernel, where that can be compiled natively.
TEST_PACKAGES:append:qemuamd64 = " test-module-${KERNEL_NAME}"
IMAGE_INSTALL += "${TEST_PACKAGES}"

CUSTOMIZATIONS = "test-hostname"

# A machine's overlay may add compressed disks, which take longer than all else here.
IMAGE_FSTYPES = "ext4"
IMAGE_FSTYPES:remove = "wic.zst"
