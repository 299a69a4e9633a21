DESCRIPTION = "A service that is enabled: it greets on the console and stays"
MAINTAINER = "n3x <n3x@localhost>"

inherit dpkg-raw

RDEPENDS = "test-greet"
DEBIAN_DEPENDS = "test-greet"

SRC_URI = "file://test-service.service file://test-service.timer file://test-service"

do_install() {
    install -D -m 0755 ${WORKDIR}/test-service ${D}/usr/libexec/test-service
}
