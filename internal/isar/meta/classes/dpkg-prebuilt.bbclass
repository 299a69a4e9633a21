# Packages that somebody else built: the .deb files of SRC_URI are deployed as they are.

inherit dpkg-base

python() {
    items = []
    for item in (d.getVar('SRC_URI') or '').split():
        items.append(item + (';unpack=false' if ';unpack=' not in item else ''))
    d.setVar('SRC_URI', ' '.join(items))
}

do_local_isarapt[noexec] = "1"
do_dpkg_build[depends] = "${PN}:do_unpack"
do_dpkg_build() {
    n3x_native dpkg-prebuilt.build
}
