DESCRIPTION = "Linux with the drivers of NVIDIA's Tegra234 and all that K3s needs"
MAINTAINER = "n3x <n3x@localhost>"

inherit linux-kernel

# kernel.org, or a mirror of one's own with the same folders.
KERNEL_MIRROR ??= "https://cdn.kernel.org/pub/linux/kernel"
SRC_URI += " \
    ${KERNEL_MIRROR}/v6.x/linux-${PV}.tar.xz \
    file://tegra234.cfg \
    file://k3s.cfg \
"
SRC_URI[sha256sum] = "4b493657f218703239c4f22415f027b3644949bf2761abd18b849f0aad5f7665"
S = "${WORKDIR}/linux-${PV}"

KERNEL_DEFCONFIG = "defconfig"
LINUX_VERSION_EXTENSION = "-tegra"

COMPATIBLE_MACHINE = "jetson-orin-.*"
