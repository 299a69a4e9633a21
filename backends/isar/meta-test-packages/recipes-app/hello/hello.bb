DESCRIPTION = "Debian's hello, built again with another greeting"
MAINTAINER = "n3x <n3x@localhost>"

inherit dpkg

# The patch joins those of the source package: dpkg-source wants all changes there.
SRC_URI = "apt://hello file://greeting.patch;apply=no"
CHANGELOG_V = "<orig-version>+n3x"

# Its tests want the original's greeting.
DEB_BUILD_OPTIONS += "nocheck"

do_prepare_build() {
    deb_add_changelog
    cd ${S}
    export QUILT_PATCHES=debian/patches
    # Once only: the sources are not unpacked again when this alone runs again.
    if ! grep -qsx greeting.patch debian/patches/series; then
        quilt import ${WORKDIR}/greeting.patch
        quilt push -a
    fi
}
