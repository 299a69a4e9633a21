# The kernel's own tests of user space as a package, below /usr/libexec/kselftest.

inherit dpkg

DESCRIPTION ?= "Kernel selftests from Linux kernel ${PV}"
S = "${WORKDIR}/linux-${PV}"

# Folders below tools/testing/selftests; all when empty. Those to leave out. "1" makes a test that cannot be built an error.
KSELFTEST_TARGETS ?= ""
KSELFTEST_SKIP_TARGETS ?= ""
KSELFTEST_FORCE_TARGETS ?= "0"
KSELFTEST_ARGS = "${@ "TARGETS=\"${KSELFTEST_TARGETS}\"" if d.getVar('KSELFTEST_TARGETS') else ''}"
KSELFTEST_ARGS .= "${@ " FORCE_TARGETS=1" if bb.utils.to_boolean(d.getVar('KSELFTEST_FORCE_TARGETS')) else ''}"
KSELFTEST_ARGS .= "${@ " SKIP_TARGETS=\"${KSELFTEST_SKIP_TARGETS}\"" if d.getVar('KSELFTEST_SKIP_TARGETS') else ''}"

DEBIAN_BUILD_DEPENDS ?= " \
    rsync, \
    flex,  \
    bison, \
    ${@ 'fuse' if d.getVar('BASE_DISTRO_CODENAME') in ['bullseye', 'buster'] else 'fuse3'}, \
    libelf-dev, \
    libcap-ng-dev, \
    libpopt-dev, \
    libcap-dev, \
    libmount-dev, \
    libfuse-dev, \
    libmnl-dev, \
    pkg-config, \
    clang:native, \
    llvm:native, \
"

FILESPATH:append = ":${LAYERDIR_core}/recipes-kernel/kselftest/files"
SRC_URI += "file://rules.tmpl"
TEMPLATE_FILES = "rules.tmpl"
TEMPLATE_VARS += "KSELFTEST_ARGS"

do_prepare_build[cleandirs] += "${S}/debian"
do_prepare_build() {
    deb_debianize
}
