# The squashfs image type.

# Folders whose content is left out, options for mksquashfs, and limits for its memory and threads.
SQUASHFS_EXCLUDE_DIRS ?= ""
SQUASHFS_CREATION_ARGS ?= ""
SQUASHFS_CREATION_LIMITS ?= ""

IMAGE_CMD:squashfs[vardeps] += "SQUASHFS_EXCLUDE_DIRS SQUASHFS_CREATION_ARGS"
IMAGE_CMD:squashfs() {
    n3x_native image.squashfs
}
