DESCRIPTION = "Debian's cowsay, built again with a patch: two packages without an architecture"
MAINTAINER = "n3x <n3x@localhost>"

inherit dpkg

DPKG_ARCH = "all"
# The patch adds a patch to those of the source package. Applied with quilt it would itself become part of the source.
SRC_URI = "apt://cowsay file://patched-version.patch"
PATCHTOOL = "git"
CHANGELOG_V = "<orig-version>+n3x"

do_prepare_build() {
    deb_add_changelog
}
