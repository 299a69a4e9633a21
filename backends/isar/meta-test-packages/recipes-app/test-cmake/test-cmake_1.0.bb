DESCRIPTION = "A program in C with CMake and a version of three parts"
MAINTAINER = "n3x <n3x@localhost>"

inherit dpkg

PR = "r1"
CHANGELOG_V = "1:${PV}.2-3"

SRC_URI = "file://src"
S = "${WORKDIR}/src"

DEBIAN_BUILD_DEPENDS = "cmake"
DEBIAN_DEPENDS = "\${shlibs:Depends}, \${misc:Depends}"

do_prepare_build() {
    deb_debianize
}
