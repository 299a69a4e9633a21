#!/bin/sh
# Runs inside the root filesystem with the serial console's name and speed.
# Only sysvinit needs to be told: systemd starts a getty on the kernel's console by itself.
set -e

if [ -f /etc/inittab ]; then
    echo "T0:23:respawn:/sbin/getty -L $1 $2 vt100" >> /etc/inittab
fi
