DESCRIPTION = "Logs root in on the serial console, for tests"
MAINTAINER = "n3x <n3x@localhost>"

inherit dpkg-raw

DEBIAN_DEPENDS = "systemd, util-linux"

SRC_URI = "file://autologin.conf"

do_install() {
    for tty in ttyS0 ttyS4 ttyAMA0 ttyTCU0 hvc0; do
        install -d ${D}/etc/systemd/system/serial-getty@$tty.service.d
        install -m 0644 ${WORKDIR}/autologin.conf ${D}/etc/systemd/system/serial-getty@$tty.service.d/autologin.conf
    done
}
