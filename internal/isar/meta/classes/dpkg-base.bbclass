# What all recipes that end in a Debian package share: the tasks from unpacked sources to the repository isar-apt.

inherit sbuild
inherit multiarch
inherit debianize
inherit terminal
inherit repository
inherit deb-dl-dir
inherit essential

DEPENDS ?= ""
RPROVIDES ?= "${PROVIDES}"
DEB_BUILD_PROFILES ?= ""
DEB_BUILD_OPTIONS ?= ""

# Git checkouts borrow objects from the clones in DL_DIR, by way of a link that the build root has too.
python do_adjust_git() {
    bb.build.exec_func('n3x_do_adjust_git', d)
}
n3x_do_adjust_git() {
    n3x_native base.adjust_git
}
addtask adjust_git after do_unpack before do_patch

inherit patch
addtask patch after do_adjust_git

# The sources' folder below WORKDIR.
def get_package_srcdir(d):
    s = os.path.abspath(d.getVar('S'))
    workdir = os.path.abspath(d.getVar('WORKDIR'))
    if s == workdir:
        bb.warn('S is WORKDIR itself; packages are built from a folder below it')
        return ''
    if not s.startswith(workdir + '/'):
        bb.warn('S is not below WORKDIR')
        return s
    return s[len(workdir) + 1:]

# Where the build root has WORKDIR, and the sources below it.
PP = "/home/builder/${BPN}"
PPS ?= "${@get_package_srcdir(d)}"

# A Debian source package is unpacked as S. What is there of an earlier run, or of another version, goes first.
python() {
    for uri in (d.getVar('SRC_URI', False) or '').split():
        if uri.startswith('apt://'):
            d.appendVarFlag('do_unpack', 'cleandirs', ' ' + (d.getVar('S') or ''))
            break
}

do_prepare_build() {
    true
}
addtask prepare_build after do_patch do_transform_template

# Packages of this build that others need are in isar-apt from here on. WORKDIR/isar-apt/DISTRO-DISTRO_ARCH/apt/DISTRO shows it
# as it is now, whatever other recipes deploy meanwhile.
do_local_isarapt[depends] += "isar-apt:do_cache_config"
do_local_isarapt[deptask] = "do_deploy_deb"
do_local_isarapt() {
    n3x_native dpkg.local_isarapt
}
addtask local_isarapt before do_dpkg_build

# Replaced by the classes that know how.
dpkg_runbuild() {
    die "${PN} inherits dpkg-base, but no class that builds a package; inherit dpkg, dpkg-raw or dpkg-prebuilt"
}

def isar_deb_build_profiles(d):
    profiles = d.getVar('DEB_BUILD_PROFILES')
    if d.getVar('BUILD_ARCH') != d.getVar('PACKAGE_ARCH'):
        profiles += ' cross'
    return profiles.strip()

def isar_deb_build_options(d):
    return d.getVar('DEB_BUILD_OPTIONS').strip()

# The build sets these itself; recipes still call this for its side effect in ISAR.
def isar_export_build_settings(d):
    return ''

do_dpkg_build[vardeps] += "dpkg_runbuild DEB_BUILD_PROFILES DEB_BUILD_OPTIONS"
python do_dpkg_build() {
    bb.build.exec_func('n3x_do_dpkg_build', d)
}
n3x_do_dpkg_build() {
    n3x_native dpkg.build
}
addtask dpkg_build

do_deploy_deb() {
    n3x_native dpkg.deploy_deb
}
addtask deploy_deb after do_dpkg_build before do_build
do_deploy_deb[deptask] = "do_deploy_deb"
do_deploy_deb[rdeptask] = "do_deploy_deb"
do_deploy_deb[depends] += "isar-apt:do_cache_config"
do_deploy_deb[dirs] = "${S}"

CLEANFUNCS += "deb_clean"
deb_clean() {
    n3x_native dpkg.clean
}
# What a recipe's own do_deploy_deb gets when it calls deb_clean.
deb_clean_in_shell() {
    for deb in "${WORKDIR}"/*.deb; do
        [ ! -e "$deb" ] || repo_del_package "${REPO_ISAR_DIR}/${DISTRO}" "${REPO_ISAR_DB_DIR}/${DISTRO}" "${DEBDISTRONAME}" "$deb"
    done
}

# Shells in the build root, with and without the package's build dependencies.
DEVSHELL_STARTDIR ?= "${S}"
do_devshell[dirs] = "${DEVSHELL_STARTDIR}"
do_devshell[nostamp] = "1"
python do_devshell() {
    bb.build.exec_func('n3x_do_devshell', d)
}
n3x_do_devshell() {
    n3x_native dpkg.devshell
}
addtask devshell after do_local_isarapt do_prepare_build

do_devshell_nodeps[dirs] = "${DEVSHELL_STARTDIR}"
do_devshell_nodeps[nostamp] = "1"
python do_devshell_nodeps() {
    bb.build.exec_func('n3x_do_devshell_nodeps', d)
}
n3x_do_devshell_nodeps() {
    n3x_native dpkg.devshell nodeps
}
addtask devshell_nodeps after do_local_isarapt do_prepare_build
do_devshell[depends] += "${SCHROOT_DEP}"
do_devshell_nodeps[depends] += "${SCHROOT_DEP}"
