DESCRIPTION = "A shared library with its development files: own control and rules files"
MAINTAINER = "n3x <n3x@localhost>"

inherit dpkg

SRC_URI = "file://src file://control file://rules"
S = "${WORKDIR}/src"

do_prepare_build() {
    deb_debianize
}
