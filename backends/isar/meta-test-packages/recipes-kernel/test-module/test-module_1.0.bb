DESCRIPTION = "A kernel module that says when it is loaded"
MAINTAINER = "n3x <n3x@localhost>"

inherit linux-module

SRC_URI += "file://src"
S = "${WORKDIR}/src"

AUTOLOAD = "test-module"

# For the machine's kernel, and for that of the recipe linux-tiny.
KERNEL_NAMES = "${KERNEL_NAME} tiny"
