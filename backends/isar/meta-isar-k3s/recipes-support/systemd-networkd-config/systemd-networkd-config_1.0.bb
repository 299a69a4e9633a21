DESCRIPTION = "Network configuration of one node in one network profile"
MAINTAINER = "n3x <n3x@localhost>"

inherit dpkg-raw

# The cell of the profile table that this package installs.
NETWORKD_PROFILE ?= "simple"
NETWORKD_NODE_NAME ?= "server-1"

SRC_URI = "file://${NETWORKD_PROFILE}/${NETWORKD_NODE_NAME} file://postinst"

DEBIAN_DEPENDS = "systemd"

do_install() {
    src="${WORKDIR}/${NETWORKD_PROFILE}/${NETWORKD_NODE_NAME}"
    install -d ${D}/etc/systemd/network
    found=
    for f in "$src"/*.network "$src"/*.netdev; do
        if [ -f "$f" ]; then
            install -m 0644 "$f" ${D}/etc/systemd/network/
            found=1
        fi
    done
    if [ -z "$found" ]; then
        bbfatal "profile ${NETWORKD_PROFILE} has no network files for node ${NETWORKD_NODE_NAME}"
    fi
}
