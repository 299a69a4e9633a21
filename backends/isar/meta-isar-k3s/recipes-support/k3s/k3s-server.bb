require k3s.inc

DESCRIPTION = "K3s server: control plane and etcd"
K3S_UNIT_ROLE = "server"
DEBIAN_CONFLICTS = "k3s-agent"
DEBIAN_REPLACES = "k3s-agent"
DEBIAN_PROVIDES = "k3s"
