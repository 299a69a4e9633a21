# A package that only installs files: do_install fills D, do_prepare_build describes it in debian/, and n3x writes the .deb
# that debhelper would make of both. What takes more than files (rules of its own, programs of one architecture, build
# dependencies ...) is built by debhelper in a build root; the log of do_dpkg_build says why.

inherit dpkg

# auto, direct (an error instead of a build root), or debhelper (always the build root).
N3X_DPKG_RAW ??= "auto"

# Files that dpkg-source leaves out by default, as *.so, belong to the package.
DPKG_SOURCE_EXTRA_ARGS = ""

D = "${S}/image"
DPKG_ARCH ??= "all"
DEBIAN_MULTI_ARCH ??= "${@ 'foreign' if d.getVar('DPKG_ARCH') == 'all' else 'no' }"

do_install() {
    bbnote "Put your files for this package in $""{D}"
}
do_install[cleandirs] = "${D}"
do_install[n3x_within] = "${D}"
addtask install after do_patch do_transform_template before do_prepare_build

# Each entry of D's first level is one line of NAME.install.
do_prepare_build[cleandirs] += "${S}/debian"
do_prepare_build() {
    cd "${D}"
    for raw_entry in * .[!.]* ..?*; do
        if [ "$raw_entry" != debian ] && { [ -e "$raw_entry" ] || [ -L "$raw_entry" ]; }; then
            printf '%s\n' "$raw_entry"
        fi
    done > "${S}/debian/${PN}.install"
    deb_debianize
    cat >> "${S}/debian/rules" <<EOF

override_dh_install:
	dh_install --sourcedir=image
EOF
}

do_dpkg_source() {
    n3x_native dpkg-raw.source
}
dpkg_raw_source_by_tool() {
    find "${WORKDIR}" -maxdepth 1 -name "${DEBIAN_SOURCE}_*.dsc" -delete
    unset SOURCE_DATE_EPOCH
    cd "${WORKDIR}"
    dpkg-source -z1 ${DPKG_SOURCE_EXTRA_ARGS} -b "${PPS}"
}

# Making a build root for the first time takes a while. It is asked for by recipes that will need it, and by those of which
# an earlier run has found that they do.
N3X_DPKG_RAW_MARK = "${T}/needs-build-root"
def dpkg_raw_schroot(d):
    way = d.getVar('N3X_DPKG_RAW')
    if way == 'direct':
        return ''
    known = d.getVar('BASE_DISTRO_CODENAME') in ('bookworm', 'trixie') and d.getVar('DEBIAN_COMPAT') == '13'
    plain = d.getVar('DPKG_ARCH') == 'all' and not (d.getVar('DEBIAN_BUILD_DEPENDS') or '').strip()
    described = (d.getVar('do_prepare_build', False) or '').strip()
    own = not described.startswith('cd "${D}"') or not described.endswith('EOF')
    for uri in (d.getVar('SRC_URI') or '').split():
        own = own or uri.split(';')[0] in ('file://rules', 'file://rules.tmpl', 'file://control', 'file://control.tmpl')
    own = own or os.path.exists(d.getVar('N3X_DPKG_RAW_MARK'))
    if way == 'auto' and known and plain and not own and d.getVar('PN') == d.getVar('BPN'):
        return ''
    return d.getVar('SCHROOT_DEP')

DPKG_BUILD_SCHROOT_DEP = "${@dpkg_raw_schroot(d)}"

dpkg_runbuild[vardeps] += "N3X_DPKG_RAW BPN S D DISTRO BASE_DISTRO BASE_DISTRO_CODENAME"
dpkg_runbuild() {
    n3x_native dpkg-raw.runbuild
}
