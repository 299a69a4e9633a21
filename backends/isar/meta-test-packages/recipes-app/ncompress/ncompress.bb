DESCRIPTION = "Debian's ncompress, built again with a patch: a program in C"
MAINTAINER = "n3x <n3x@localhost>"

inherit dpkg

SRC_URI = "apt://ncompress file://patched-version.patch;apply=no"
CHANGELOG_V = "<orig-version>+n3x"

# Its tests run the program, which a cross build cannot.
DEB_BUILD_OPTIONS += "nocheck"

do_prepare_build() {
    deb_add_changelog
    cd ${S}
    export QUILT_PATCHES=debian/patches
    # Once only: the sources are not unpacked again when this alone runs again.
    if ! grep -qsx patched-version.patch debian/patches/series; then
        quilt import ${WORKDIR}/patched-version.patch
        quilt push -a
    fi
}
