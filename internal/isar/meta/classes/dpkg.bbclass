# Builds packages from a source package with dpkg-buildpackage, in a build root that holds what Build-Depends ask for.

inherit dpkg-source

# Minutes without output after which a build is ended.
DPKG_BUILD_TIMEOUT ?= "150"

# Variables for the build's environment that must not change what is built.
SBUILD_PASSTHROUGH_ADDITIONS ?= ""

N3X_DEB_BUILD_PROFILES = "${@isar_deb_build_profiles(d)}"
N3X_DEB_BUILD_OPTIONS = "${@isar_deb_build_options(d)}"

do_get_reference_env() {
    :
}
addtask get_reference_env before do_dpkg_build

# A build has no network, unless a recipe sets do_dpkg_build[network] = "${TASK_USE_NETWORK}".
DPKG_BUILD_SCHROOT_DEP ?= "${SCHROOT_DEP}"
do_dpkg_build[depends] += "${DPKG_BUILD_SCHROOT_DEP}"

# A build sees what these lines export when a layer puts some before them, beyond what every task exports.
dpkg_runbuild[vardeps] += "BUILD_ARCH PACKAGE_ARCH PP DEBIAN_SOURCE N3X_DEB_BUILD_PROFILES N3X_DEB_BUILD_OPTIONS"
dpkg_runbuild() {
    n3x_native dpkg.runbuild
}
