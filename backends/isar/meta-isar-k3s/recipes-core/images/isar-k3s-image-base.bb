DESCRIPTION = "Base image of a K3s node"

require isar-k3s-image.inc
