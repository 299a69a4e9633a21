DESCRIPTION = "NVIDIA's tools for Jetson boards: nvbootctrl, tegrastats, jetson_clocks"

require nvidia-l4t.inc

DEPENDS = "nvidia-l4t-core"

SRC_URI[sha256sum] = "864281721f202c9e3ae8c7b66ff469b05ee8abc6d3ae6cb0eaaa8a5e7769398f"
