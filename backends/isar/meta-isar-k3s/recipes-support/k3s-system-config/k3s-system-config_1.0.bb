DESCRIPTION = "What K3s needs of a machine: kernel modules, sysctls, no swap, a default route"
MAINTAINER = "n3x <n3x@localhost>"

inherit dpkg-raw

SRC_URI = " \
    file://k3s-modules.conf file://90-k3s.conf file://k3s-disable-swap.service file://slow-modules.conf \
    file://90-k3s-route.netdev file://90-k3s-route.network \
"

DEBIAN_DEPENDS = "systemd, kmod, procps, util-linux"

# K3s does not start without a default route. Nodes that have a gateway by their profile get theirs from it.
CLUSTER_GATEWAY_NODES ??= ""
K3S_ROUTE = "${@'0' if d.getVar('NETWORKD_NODE_NAME') in d.getVar('CLUSTER_GATEWAY_NODES').split() else '1'}"
# Which node it is does not matter beyond that: nodes share this package, and K3s' that needs it.
K3S_ROUTE[vardepvalue] = "${K3S_ROUTE}"
K3S_ROUTE[vardepsexclude] = "NETWORKD_NODE_NAME CLUSTER_GATEWAY_NODES"

do_install() {
    install -D -m 0644 ${WORKDIR}/k3s-modules.conf ${D}/usr/lib/modules-load.d/k3s.conf
    install -D -m 0644 ${WORKDIR}/90-k3s.conf ${D}/usr/lib/sysctl.d/90-k3s.conf
    install -D -m 0644 ${WORKDIR}/k3s-disable-swap.service ${D}/usr/lib/systemd/system/k3s-disable-swap.service
    install -D -m 0644 ${WORKDIR}/slow-modules.conf ${D}/usr/lib/systemd/system/systemd-modules-load.service.d/50-k3s.conf
    if [ "${K3S_ROUTE}" = 1 ]; then
        install -D -m 0644 ${WORKDIR}/90-k3s-route.netdev ${D}/usr/lib/systemd/network/90-k3s-route.netdev
        install -D -m 0644 ${WORKDIR}/90-k3s-route.network ${D}/usr/lib/systemd/network/90-k3s-route.network
    fi
}
