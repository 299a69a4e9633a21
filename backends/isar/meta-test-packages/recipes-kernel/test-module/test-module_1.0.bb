DESCRIPTION = "A kernel module that says when it is loaded"
MAINTAINER = "n3x <n3x@localhost>"

inherit linux-module

SRC_URI += "file://src"
S = "${WORKDIR}/src"

AUTOLOAD = "test-module"
