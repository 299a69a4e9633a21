DESCRIPTION = "Network configuration of one node in one network profile"
MAINTAINER = "n3x <n3x@localhost>"

inherit dpkg-raw

# The files are rendered from profiles/ (n3x cluster render).
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
        bbfatal "profile ${NETWORKD_PROFILE} has no network files for node ${NETWORKD_NODE_NAME}; is it in profiles/${NETWORKD_PROFILE}.yaml, and was n3x cluster render run?"
    fi
}
