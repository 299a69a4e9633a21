DESCRIPTION = "A program in C with autotools"
MAINTAINER = "n3x <n3x@localhost>"

inherit dpkg

SRC_URI = "file://src"
S = "${WORKDIR}/src"

DEBIAN_DEPENDS = "\${shlibs:Depends}, \${misc:Depends}"

do_prepare_build() {
    deb_debianize
}
