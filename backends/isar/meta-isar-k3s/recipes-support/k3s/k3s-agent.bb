require k3s.inc

DESCRIPTION = "K3s agent: workloads"
K3S_UNIT_ROLE = "agent"
DEBIAN_CONFLICTS = "k3s-server"
DEBIAN_REPLACES = "k3s-server"
DEBIAN_PROVIDES = "k3s"
