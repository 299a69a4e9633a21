DESCRIPTION = "Image of a K3s server"

K3S_IMAGE_ROLE = "server"
require isar-k3s-image.inc

IMAGE_INSTALL += "k3s-server"
