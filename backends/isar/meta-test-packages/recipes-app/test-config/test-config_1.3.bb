DESCRIPTION = "Configuration: conffiles, a template, a folder without files, modes and a maintainer script"
MAINTAINER = "n3x <n3x@localhost>"

inherit dpkg-raw

DEBIAN_DEPENDS = "adduser, base-files (>= 12)"

TEST_GREETING ?= "good day"
TEMPLATE_FILES = "test-config.conf.tmpl"
TEMPLATE_VARS += "TEST_GREETING"

SRC_URI = "file://test-config.conf.tmpl file://test-config.tmpfiles file://postinst file://secret"

PRESERVE_PERMS = "var/lib/test-config/secret"

do_install() {
    install -D -m 0644 ${WORKDIR}/test-config.conf ${D}/etc/test-config/test-config.conf
    ln -s test-config.conf ${D}/etc/test-config/default.conf
    install -d -m 0750 ${D}/var/lib/test-config
    install -m 0600 ${WORKDIR}/secret ${D}/var/lib/test-config/secret
    install -d ${D}/var/lib/test-config/empty
}
