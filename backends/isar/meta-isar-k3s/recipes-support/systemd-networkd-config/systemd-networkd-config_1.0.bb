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

    # network-online.target waits for each interface with addresses by its name: VLANs do not exist yet when the bond or card below them is up,
    # and would not be waited for. Slow machines need more than the usual two minutes.
    online=
    for f in "$src"/*.network; do
        if grep -qE '^(Address=|DHCP=(yes|ipv4|ipv6))' "$f" && ! grep -qx 'RequiredForOnline=no' "$f"; then
            online="$online --interface=$(sed -n 's/^Name=//p' "$f")"
        fi
    done
    if [ -n "$online" ]; then
        install -d ${D}/usr/lib/systemd/system/systemd-networkd-wait-online.service.d
        cat > ${D}/usr/lib/systemd/system/systemd-networkd-wait-online.service.d/50-profile.conf << END
[Service]
ExecStart=
ExecStart=/usr/lib/systemd/systemd-networkd-wait-online --timeout=300$online
END
    fi
}
