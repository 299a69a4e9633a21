DESCRIPTION = "Puts fsck for ext4 into the initrd"
MAINTAINER = "isar-users <isar-users@googlegroups.com>"

inherit initramfs-hook

SRC_URI += "file://initramfs-fsck-hook-ext4.triggers"
HOOK_COPY_EXECS = "fsck fsck.ext4 logsave"
DEBIAN_DEPENDS .= ", e2fsprogs, logsave"
