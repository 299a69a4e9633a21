DESCRIPTION = "Debian's hello, built again with another greeting"
MAINTAINER = "n3x <n3x@localhost>"

inherit dpkg

SRC_URI = "apt://hello file://greeting.patch"
CHANGELOG_V = "<orig-version>+n3x"

# Its tests want the original's greeting.
DEB_BUILD_OPTIONS += "nocheck"

do_prepare_build() {
    deb_add_changelog
}
