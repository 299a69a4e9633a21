# A kernel of our own as Debian packages. A recipe linux-X gives
#
#   linux-image-X        kernel, modules, device trees, configuration
#   linux-image-X-dbg    the same with debug information
#   linux-headers-X      what external modules are compiled against
#   linux-kbuild-X       scripts and programs that compile them, for the machine that compiles
#   linux-libc-dev       headers of user space, when KERNEL_LIBC_DEV_DEPLOY is "1"
#
# Build profiles choose among them. When kernels are cross-compiled, the recipe itself builds all but linux-kbuild-X, its
# variant linux-X-native builds that for the build machine, and linux-X-kbuildtarget builds it for the target.

DESCRIPTION ?= "Custom kernel"
MAINTAINER ?= "isar-users <isar-users@googlegroups.com>"
DISTRIBUTOR ?= "Isar"
CHANGELOG_V = "${PV}+${PR}"
DEBIAN_COMPAT:buster = "10"

# A configuration: a name below arch/*/configs, or a file of SRC_URI; the architecture's default when empty.
KERNEL_DEFCONFIG ??= ""
# Files that are merged into it, in order, before the *.cfg files of SRC_URI: relative to WORKDIR, or below ${S}.
KERNEL_CONFIG_FRAGMENTS ?= ""
# Appended to the kernel's version.
LINUX_VERSION_EXTENSION ?= ""
# Folders of the source that linux-headers-X has too.
HEADERS_INSTALL_EXTRA ??= ""
# Further arguments of make.
KERNEL_EXTRA_BUILDARGS ??= ""

KBUILD_DEPENDS ?= "build-essential:native, \
                   libelf-dev:native, \
                   libncurses-dev:native, \
                   libssl-dev:native, \
                   bc, \
                   bison, \
                   cpio, \
                   dwarves, \
                   flex, \
                   git, \
                   kmod, \
                   linux-image-${KERNEL_NAME_PROVIDED}:${DISTRO_ARCH} <pkg.${BPN}.kbuild !pkg.${BPN}.kernel>, \
                   rsync,"
KERNEL_DEBIAN_DEPENDS ?= "initramfs-tools | linux-initramfs-tool | dracut, \
                          kmod, \
                          linux-base (>= 4.3~),"
KERNEL_HEADERS_DEBIAN_DEPENDS ?= ""

KERNEL_LIBC_DEV_DEPLOY ?= "0"
KERNEL_LIBC_DEV_ARCH_ALL = "0"
KERNEL_LIBC_DEV_ARCH_ALL:trixie = "1"

# The folder debian of the source comes from here; a layer's own files of the same names win.
FILESPATH:append = ":${LAYERDIR_core}/recipes-kernel/linux/files"
SRC_URI += "file://debian"

TEMPLATE_FILES += " \
    debian/control.tmpl \
    debian/rules.tmpl \
    debian/isar/common.tmpl \
    debian/isar/configure.tmpl \
    debian/isar/build.tmpl \
    debian/isar/install.tmpl \
    debian/isar/clean.tmpl \
    debian/isar/version.cfg.tmpl \
    debian/linux-image.preinst.tmpl \
    debian/linux-image.postinst.tmpl \
    debian/linux-image.prerm.tmpl \
    debian/linux-image.postrm.tmpl \
"
TEMPLATE_VARS += " \
    BPN \
    DISTRIBUTOR \
    DEBIAN_COMPAT \
    KBUILD_DEPENDS \
    KERNEL_ARCH \
    KERNEL_BUILD_DIR \
    KERNEL_DEBIAN_DEPENDS \
    KERNEL_EXTRA_BUILDARGS \
    KERNEL_FILE \
    KERNEL_HEADERS_DEBIAN_DEPENDS \
    KERNEL_LIBC_DEV_ARCH \
    KERNEL_NAME_PROVIDED \
    KCONFIG_FRAGMENTS \
    KCFLAGS \
    KAFLAGS \
    LINUX_VERSION_EXTENSION \
    HEADERS_INSTALL_EXTRA \
    ISAR_ENABLE_COMPAT_ARCH \
    COMPAT_DISTRO_ARCH \
"

inherit dpkg
inherit kbuildtarget

# Paths of the build stay out of what is compiled.
KCFLAGS ?= "-fdebug-prefix-map=${CURDIR}=."
KAFLAGS ?= "-fdebug-prefix-map=${CURDIR}=."

# linux-X is the recipe of kernel X.
KERNEL_NAME_PROVIDED ?= "${@ d.getVar('BPN').partition('linux-')[2]}"

# Override cross-profile: this is cross-compiled. cross-profile-native: this is the variant for the build machine of
# something that is.
python() {
    crossing = bb.utils.to_boolean(d.getVar('ISAR_CROSS_COMPILE'))
    if crossing and d.getVar('DISTRO_ARCH') != d.getVar('HOST_ARCH'):
        is_native = 'class-native' in d.getVar('OVERRIDES').split(':')
        d.appendVar('OVERRIDES', ':cross-profile-native' if is_native else ':cross-profile')
}
BBCLASSEXTEND:append:cross-profile = " kbuildtarget"

# Which packages are built, as names of build profiles.
BUILD_PROFILES = "pkg.${BPN}.kernel pkg.${BPN}.kbuild"
BUILD_PROFILES:cross-profile = "pkg.${BPN}.kernel pkg.${BPN}.cross"
BUILD_PROFILES:class-native = "pkg.${BPN}.kbuild"
BUILD_PROFILES:append:cross-profile-native = " pkg.${BPN}.cross"
BUILD_PROFILES:class-kbuildtarget = "pkg.${BPN}.kbuild"
DEB_BUILD_PROFILES += "${BUILD_PROFILES}"

# Which packages the recipe and its variants provide to others. Whoever needs the headers needs linux-kbuild-X as well, so
# that they are provided together, wherever linux-headers-X is really built.
RECIPE_PROVIDES = " \
    linux-image-${KERNEL_NAME_PROVIDED} \
    linux-headers-${KERNEL_NAME_PROVIDED} \
    linux-image-${KERNEL_NAME_PROVIDED}-dbg \
    linux-kbuild-${KERNEL_NAME_PROVIDED} \
    ${BPN}-pseudo-native \
"
RECIPE_PROVIDES:class-native = " \
    linux-headers-${KERNEL_NAME_PROVIDED} \
    linux-kbuild-${KERNEL_NAME_PROVIDED}"
RECIPE_PROVIDES:class-kbuildtarget = " \
    linux-headers-${KERNEL_NAME_PROVIDED} \
    linux-kbuild-${KERNEL_NAME_PROVIDED}"
RECIPE_PROVIDES:remove:cross-profile = " \
    linux-headers-${KERNEL_NAME_PROVIDED} \
    linux-kbuild-${KERNEL_NAME_PROVIDED}"
OVERRIDES:append = ":${@ bb.utils.contains('DEB_BUILD_PROFILES', 'pkg.{}.nolibcdev'.format(d.getVar('BPN')), '', 'libcdev', d)}"
RECIPE_PROVIDES:append:libcdev = " linux-libc-dev"
RECIPE_PROVIDES:append:libcdev:cross-profile = " linux-libc-dev-${DISTRO_ARCH}-cross"
RECIPE_PROVIDES:remove:class-kbuildtarget = "linux-libc-dev linux-libc-dev-${DISTRO_ARCH}-cross"
RECIPE_PROVIDES:remove:class-compat = "${BPN}-pseudo-native"
PROVIDES += "${RECIPE_PROVIDES}"

# The variants take the configuration from the finished kernel. multiarch appends -native to the first of these names.
DEPENDS:class-native += "${BPN}-pseudo"
DEPENDS:class-kbuildtarget = "${BPN}"
ISAR_CROSS_COMPILE:class-kbuildtarget = "0"

HEADERS_DEPENDS = ", linux-kbuild-${KERNEL_NAME_PROVIDED} | linux-kbuild-${KERNEL_NAME_PROVIDED}-${DISTRO_ARCH}-cross"
KERNEL_HEADERS_DEBIAN_DEPENDS:append = "${HEADERS_DEPENDS}"

def get_additional_build_profiles(d):
    prefix = 'pkg.' + d.getVar('BPN')
    if not bb.utils.to_boolean(d.getVar('KERNEL_LIBC_DEV_DEPLOY')):
        extra = ' ' + prefix + '.nolibcdev'
    elif bb.utils.to_boolean(d.getVar('KERNEL_LIBC_DEV_ARCH_ALL')):
        extra = ' ' + prefix + '.libcdev-arch-all'
    else:
        extra = ''
    return d.getVar('BASE_DISTRO') + extra
DEB_BUILD_PROFILES += "${@get_additional_build_profiles(d)}"
KERNEL_LIBC_DEV_ARCH = "${@ bb.utils.contains('DEB_BUILD_PROFILES', 'pkg.{}.libcdev-arch-all'.format(d.getVar('BPN')), 'all\nMulti-Arch: foreign', 'any', d) }"

# The kernel's name of the architecture; empty when it is not known.
def get_kernel_arch(d):
    names = {'amd64': 'x86', 'i386': 'x86', 'arm64': 'arm64', 'armhf': 'arm', 'mipsel': 'mips', 'riscv64': 'riscv'}
    return names.get(d.getVar('DISTRO_ARCH'), '')
KERNEL_ARCH ??= "${@get_kernel_arch(d)}"

# Everything is compiled in this folder of the source.
KERNEL_BUILD_DIR = "build-full"

# Fragments as the recipe names them, and as paths in the source tree.
def config_fragments(d):
    found = (d.getVar('KERNEL_CONFIG_FRAGMENTS') or '').split()
    for uri in (d.getVar('SRC_URI') or '').split():
        scheme, host, path, user, password, params = bb.fetch.decodeurl(uri)
        if path.endswith('.cfg') and os.path.basename(path) != '.cfg' and params.get('apply') != 'no':
            found.append(path)
    return found
def get_kernel_config_fragments(d):
    source = d.getVar('S') + '/'
    return ' '.join([f[len(source):] if f.startswith(source) else 'debian/fragments/' + f for f in config_fragments(d)])
KCONFIG_FRAGMENTS = "${@get_kernel_config_fragments(d)}"
KERNEL_CONFIG_FRAGMENTS:append = " \
    ${@'${S}/debian/isar/version.cfg' if d.getVar('LINUX_VERSION_EXTENSION') else ''}"

# Targets of make that write the configuration to which fragments are added.
def get_kernel_config_target(d):
    name = d.getVar('KERNEL_DEFCONFIG')
    if not name:
        return 'defconfig'
    if os.path.isfile(d.getVar('WORKDIR') + '/' + name):
        return 'olddefconfig'
    return 'defconfig KBUILD_DEFCONFIG=' + name

do_prepare_build[cleandirs] += "${S}/debian"
do_prepare_build:prepend() {
    cp -r ${WORKDIR}/debian ${S}/
    find ${S}/debian -name '*.tmpl' -delete
    chmod a+x ${S}/debian/rules
    for script in preinst postinst prerm postrm; do
        mv ${S}/debian/linux-image.$script ${S}/debian/linux-image-${KERNEL_NAME_PROVIDED}.$script
    done
    deb_add_changelog

    for dir in ${HEADERS_INSTALL_EXTRA}; do
        if [ ! -d ${S}/$dir ]; then
            bbfatal "HEADERS_INSTALL_EXTRA names '$dir', which is not a folder of the kernel's source"
        fi
    done
}

# Puts the configuration and the fragments into the source.
dpkg_configure_kernel() {
    sed -i -e 's|^KERNEL_CONFIG_TARGET=.*|KERNEL_CONFIG_TARGET="${@get_kernel_config_target(d)}"|' ${S}/debian/isar/configure

    if [ -n "${KERNEL_DEFCONFIG}" ] && [ -f "${WORKDIR}/${KERNEL_DEFCONFIG}" ]; then
        cp ${WORKDIR}/${KERNEL_DEFCONFIG} ${S}/${KERNEL_BUILD_DIR}/.config
    fi

    for fragment in ${@' '.join(config_fragments(d))}; do
        case $fragment in
        ${S}/*) # comes with the source
            ;;
        *)
            if [ ! -f ${WORKDIR}/$fragment ]; then
                bbfatal "the kernel configuration fragment $fragment is not in WORKDIR; add it to SRC_URI or correct KERNEL_CONFIG_FRAGMENTS"
            fi
            mkdir -p ${S}/debian/fragments/$(dirname $fragment)
            cp ${WORKDIR}/$fragment ${S}/debian/fragments/$fragment
            ;;
        esac
    done
}

# CONFIG_LOCALVERSION_AUTO asks git, which the source package lacks: its answer is kept in a file.
get_localversion_auto() {
    if [ -f ${S}/${KERNEL_BUILD_DIR}/.config ] && grep -q '^CONFIG_LOCALVERSION_AUTO=y' ${S}/${KERNEL_BUILD_DIR}/.config; then
        if commit=$(git -C ${S} rev-parse --verify --short HEAD 2>/dev/null); then
            echo "-g$commit" > ${S}/.scmversion
        fi
    fi
}

do_dpkg_source[cleandirs] += "${S}/${KERNEL_BUILD_DIR} ${S}/debian/fragments"
do_dpkg_source:prepend() {
    dpkg_configure_kernel
    get_localversion_auto
}
