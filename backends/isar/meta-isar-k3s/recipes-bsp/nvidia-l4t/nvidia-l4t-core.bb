DESCRIPTION = "NVIDIA's base package for Jetson boards"

require nvidia-l4t.inc

SRC_URI[sha256sum] = "04975607d121dd679a9f026939d5c126dd9e682bbba6b71c01942212ebc2b090"
