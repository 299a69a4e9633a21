# A package that only installs files: do_install fills D, n3x writes the .deb. No compiler and no build root are needed.

inherit dpkg-base

D = "${S}/image"
DPKG_ARCH ??= "all"
DEBIAN_MULTI_ARCH ??= "${@ 'foreign' if d.getVar('DPKG_ARCH') == 'all' else 'no' }"

do_install() {
    bbnote "Put your files for this package in $""{D}"
}
do_install[cleandirs] = "${D}"
addtask install after do_patch do_transform_template before do_prepare_build

do_prepare_build() {
    :
}
addtask prepare_build before do_dpkg_build

do_dpkg_build() {
    n3x_native dpkg-raw.build
}
do_dpkg_build[vardeps] += "BPN CHANGELOG_V DPKG_ARCH DEBIAN_SECTION DEBIAN_DEPENDS DEBIAN_PROVIDES DEBIAN_REPLACES \
    DEBIAN_CONFLICTS DEBIAN_BREAKS DEBIAN_BUILT_USING DEBIAN_MULTI_ARCH DESCRIPTION MAINTAINER PRESERVE_PERMS \
    DEBIAN_CHANGELOG_TIMESTAMP"
