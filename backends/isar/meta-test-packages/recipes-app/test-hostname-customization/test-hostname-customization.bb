DESCRIPTION = "A customization: a setting for one machine, and another for one image"
MAINTAINER = "n3x <n3x@localhost>"

inherit dpkg-customization

PV = "1.0"

TEST_HOSTNAME ?= "${MACHINE}"
TEST_HOSTNAME:test-packages-image = "packages"

SRC_URI = "file://postinst.tmpl"
TEMPLATE_FILES = "postinst.tmpl"
TEMPLATE_VARS = "TEST_HOSTNAME"
