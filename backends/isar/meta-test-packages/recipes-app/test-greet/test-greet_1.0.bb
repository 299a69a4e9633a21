DESCRIPTION = "A program that needs the library of another recipe"
MAINTAINER = "n3x <n3x@localhost>"

inherit dpkg

DEPENDS += "libtestgreet"

SRC_URI = "file://src"
S = "${WORKDIR}/src"

DEBIAN_BUILD_DEPENDS = "libtestgreet-dev (>= 1.2)"
DEBIAN_DEPENDS = "\${shlibs:Depends}, \${misc:Depends}"

do_prepare_build() {
    deb_debianize
}
