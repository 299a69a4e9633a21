# What all recipes that end in a Debian package share.

inherit multiarch
inherit debianize
inherit essential
inherit patch

PROVIDES:prepend = "${PN} "
RPROVIDES ?= "${PROVIDES}"
DEB_BUILD_PROFILES ?= ""
DEB_BUILD_OPTIONS ?= ""
PP = "/home/builder/${BPN}"

do_adjust_git() {
    :
}
do_adjust_git[noexec] = "1"
addtask adjust_git after do_unpack before do_patch

# Overridden by the classes that know how.
dpkg_runbuild() {
    die "This should never be called, overwrite it in your derived class"
}

do_dpkg_build() {
    n3x_native dpkg.build
}
addtask dpkg_build after do_patch do_transform_template
do_dpkg_build[deptask] = "do_deploy_deb"

do_deploy_deb() {
    n3x_native dpkg.deploy_deb
}
addtask deploy_deb after do_dpkg_build before do_build
do_deploy_deb[deptask] = "do_deploy_deb"
do_deploy_deb[rdeptask] = "do_deploy_deb"
do_deploy_deb[depends] += "isar-apt:do_cache_config"

CLEANFUNCS += "deb_clean"
deb_clean() {
    n3x_native dpkg.clean
}
