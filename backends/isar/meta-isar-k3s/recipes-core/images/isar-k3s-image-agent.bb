DESCRIPTION = "Image of a K3s agent"

K3S_IMAGE_ROLE = "agent"
require isar-k3s-image.inc

IMAGE_INSTALL += "k3s-agent"
