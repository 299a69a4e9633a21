DESCRIPTION = "Makes the SSH host keys at first boot"
MAINTAINER = "n3x <n3x@localhost>"

inherit dpkg-raw

DEBIAN_DEPENDS = "openssh-server, systemd"

SRC_URI = "file://postinst file://sshd-regen-keys.service"
