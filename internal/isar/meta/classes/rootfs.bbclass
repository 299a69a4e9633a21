# Installs Debian packages into a root file system below ROOTFSDIR.
#
# ROOTFS_CONFIGURE_COMMAND, ROOTFS_INSTALL_COMMAND and ROOTFS_POSTPROCESS_COMMAND are lists of functions that run in
# this order; layers edit them. Between tasks the tree is a stack of overlay layers, one for each task that changed it.

ROOTFS_ARCH ?= "${DISTRO_ARCH}"
ROOTFS_DISTRO ?= "${DISTRO}"
ROOTFS_BASE_DISTRO ?= "${BASE_DISTRO}"
ROOTFS_PACKAGES ?= ""
ROOTFS_VARDEPS ?= ""
ROOTFS_USE_DRACUT ??= ""
ROOTFS_APT_ARGS = "install --yes -o Debug::pkgProblemResolver=yes"
ROOTFS_CLEAN_FILES = "/etc/hostname /etc/resolv.conf"
ROOTFS_PACKAGE_SUFFIX ?= "${PN}-${DISTRO}-${DISTRO_ARCH}"
ROOTFS_STUBS_DIR = "/usr/local/isar-sbin"
DISTRO_BOOTSTRAP_BASE_PACKAGES += "locales apt"

def initramfs_generator_cmdline(d):
    packages = d.getVar('ROOTFS_PACKAGES') or ''
    if 'dracut' in packages or bb.utils.to_boolean(d.getVar('ROOTFS_USE_DRACUT')):
        return 'dracut --force --kver "$kernel_version"'
    return 'update-initramfs -u -v -k "$kernel_version"'

ROOTFS_INITRAMFS_GENERATOR_CMDLINE = "${@ initramfs_generator_cmdline(d)}"
ROOTFS_INITRAMFS_GENERATOR_CMD = "${@ d.getVar('ROOTFS_INITRAMFS_GENERATOR_CMDLINE').split()[0]}"

export DEBIAN_FRONTEND = "noninteractive"
LOCALE_DEFAULT ??= "C"
export LANG = "${LOCALE_DEFAULT}"
export LANGUAGE = "${LOCALE_DEFAULT}"
export LC_ALL = "${LOCALE_DEFAULT}"

# In every task of this class the tree is mounted, with proc, sys and dev, as long as the task runs.
rootfs_do_mounts() {
    :
}
rootfs_do_umounts() {
    :
}
rootfs_do_qemu() {
    :
}

# Usage: rootfs_cmd [--bind SRC DST]... [--chdir DIR] [ROOTFS] -- COMMAND...
rootfs_cmd() {
    rootfs_cmd_root=""
    rootfs_cmd_dir="/"
    while [ $# -gt 0 ] && [ "$1" != "--" ]; do
        case "$1" in
            --bind) mkdir -p "$rootfs_cmd_root$3"; mount --bind "$2" "$rootfs_cmd_root$3"; shift 3 ;;
            --chdir) rootfs_cmd_dir="$2"; shift 2 ;;
            -*) bbfatal "rootfs_cmd: unknown option $1" ;;
            *) rootfs_cmd_root="$1"; shift ;;
        esac
    done
    [ $# -gt 1 ] || bbfatal "rootfs_cmd: no command (missing --)"
    shift
    chroot "${rootfs_cmd_root:-/}" /bin/sh -c 'cd "$0" && exec "$@"' "$rootfs_cmd_dir" "$@"
}

ROOTFS_CONFIGURE_COMMAND += "rootfs_configure_isar_apt"
rootfs_configure_isar_apt[weight] = "2"
rootfs_configure_isar_apt() {
    n3x_native rootfs.configure_isar_apt
}

ROOTFS_CONFIGURE_COMMAND += "rootfs_configure_apt"
rootfs_configure_apt[weight] = "2"
rootfs_configure_apt() {
    n3x_native rootfs.configure_apt
}

ROOTFS_CONFIGURE_COMMAND += "rootfs_disable_initrd_generation"
rootfs_disable_initrd_generation[weight] = "1"
rootfs_disable_initrd_generation() {
    n3x_native rootfs.disable_initrd_generation
}

# The install steps by ISAR's names. Downloading, the package cache and the repository of own packages
# need no steps of their own here: rootfs_install_pkgs_install does it all.
ROOTFS_INSTALL_COMMAND += "rootfs_install_pkgs_update"
rootfs_install_pkgs_update() {
    :
}
ROOTFS_INSTALL_COMMAND += "rootfs_install_resolvconf"
rootfs_install_resolvconf() {
    :
}
ROOTFS_INSTALL_COMMAND += "rootfs_import_package_cache"
rootfs_import_package_cache() {
    :
}
ROOTFS_INSTALL_COMMAND += "rootfs_install_pkgs_download"
rootfs_install_pkgs_download() {
    :
}
ROOTFS_INSTALL_COMMAND_BEFORE_EXPORT ??= ""
ROOTFS_INSTALL_COMMAND += "${ROOTFS_INSTALL_COMMAND_BEFORE_EXPORT}"
ROOTFS_INSTALL_COMMAND += "rootfs_export_package_cache"
rootfs_export_package_cache() {
    :
}
ROOTFS_INSTALL_COMMAND += "rootfs_install_pkgs_isar_download"
rootfs_install_pkgs_isar_download() {
    :
}
ROOTFS_INSTALL_COMMAND += "${@ 'rootfs_install_clean_files' if (d.getVar('ROOTFS_CLEAN_FILES') or '').strip() else ''}"
rootfs_install_clean_files() {
    n3x_native rootfs.clean_files
}
ROOTFS_INSTALL_COMMAND += "rootfs_install_pkgs_install"
rootfs_install_pkgs_install[weight] = "8000"
rootfs_install_pkgs_install() {
    n3x_native rootfs.pkgs_install
}
ROOTFS_INSTALL_COMMAND += "rootfs_restore_initrd_tooling"
rootfs_restore_initrd_tooling() {
    n3x_native rootfs.restore_initrd_tooling
}
ROOTFS_INSTALL_COMMAND += "${@bb.utils.contains('ROOTFS_FEATURES', 'generate-initrd', '', 'rootfs_clear_initrd_symlinks', d)}"
rootfs_clear_initrd_symlinks() {
    sudo rm -f '${ROOTFSDIR}/initrd.img' '${ROOTFSDIR}/initrd.img.old'
}

do_rootfs_install[vardeps] += "${ROOTFS_CONFIGURE_COMMAND} ${ROOTFS_INSTALL_COMMAND} ${ROOTFS_VARDEPS} \
    ROOTFS_CONFIGURE_COMMAND ROOTFS_INSTALL_COMMAND ROOTFS_PACKAGES ROOTFS_ARCH ROOTFS_CLEAN_FILES \
    DISTRO_BOOTSTRAP_BASE_PACKAGES DISTRO_APT_SOURCES DISTRO_APT_PREFERENCES DISTRO_APT_KEYRINGS N3X_APT_STATE"
do_rootfs_install[vardepsexclude] += "IMAGE_ROOTFS"
do_rootfs_install[deptask] = "do_deploy_deb"
do_rootfs_install[rdeptask] = "do_deploy_deb"
do_rootfs_install[depends] += "isar-apt:do_cache_config"
do_rootfs_install[network] = "${TASK_USE_NETWORK}"
python do_rootfs_install() {
    bb.build.exec_func('n3x_do_rootfs_install', d)
}
n3x_do_rootfs_install() {
    n3x_native rootfs.install
}
addtask rootfs_install before do_rootfs_postprocess after do_unpack

ROOTFS_POSTPROCESS_COMMAND += "${@bb.utils.contains('ROOTFS_FEATURES', 'generate-sbom', 'rootfs_generate_sbom', '', d)}"
rootfs_generate_sbom() {
    bbfatal "ROOTFS_FEATURES has generate-sbom, which n3x does not support yet; remove it with ROOTFS_FEATURES:remove"
}

ROOTFS_POSTPROCESS_COMMAND += "${@bb.utils.contains('ROOTFS_FEATURES', 'clean-package-cache', 'rootfs_postprocess_clean_package_cache', '', d)}"
rootfs_postprocess_clean_package_cache() {
    n3x_native rootfs.clean_package_cache
}

ROOTFS_POSTPROCESS_COMMAND += "${@bb.utils.contains('ROOTFS_FEATURES', 'clean-log-files', 'rootfs_postprocess_clean_log_files', '', d)}"
rootfs_postprocess_clean_log_files() {
    n3x_native rootfs.clean_log_files
}

ROOTFS_POSTPROCESS_COMMAND += "${@bb.utils.contains('ROOTFS_FEATURES', 'clean-debconf-cache', 'rootfs_postprocess_clean_debconf_cache', '', d)}"
rootfs_postprocess_clean_debconf_cache() {
    sudo rm -rf '${ROOTFSDIR}'/var/cache/debconf/*
}

ROOTFS_POSTPROCESS_COMMAND += "${@bb.utils.contains('ROOTFS_FEATURES', 'clean-pycache', 'rootfs_postprocess_clean_pycache', '', d)}"
rootfs_postprocess_clean_pycache() {
    n3x_native rootfs.clean_pycache
}

ROOTFS_POSTPROCESS_COMMAND += "rootfs_postprocess_clean_ldconfig_cache"
rootfs_postprocess_clean_ldconfig_cache() {
    sudo rm -f '${ROOTFSDIR}/var/cache/ldconfig/aux-cache'
}

ROOTFS_POSTPROCESS_COMMAND += "rootfs_postprocess_clean_tmp"
rootfs_postprocess_clean_tmp() {
    sudo rm -rf '${ROOTFSDIR}'/tmp/*
}

ROOTFS_POSTPROCESS_COMMAND += "${@bb.utils.contains('ROOTFS_FEATURES', 'generate-manifest', 'rootfs_generate_manifest', '', d)}"
rootfs_generate_manifest() {
    n3x_native rootfs.generate_manifest
}

ROOTFS_POSTPROCESS_COMMAND += "${@bb.utils.contains('ROOTFS_FEATURES', 'export-dpkg-status', 'rootfs_export_dpkg_status', '', d)}"
rootfs_export_dpkg_status() {
    mkdir -p '${ROOTFS_DPKGSTATUS_DEPLOY_DIR}'
    cp '${ROOTFSDIR}/var/lib/dpkg/status' '${ROOTFS_DPKGSTATUS_DEPLOY_DIR}/${ROOTFS_PACKAGE_SUFFIX}.dpkg_status'
}

ROOTFS_POSTPROCESS_COMMAND += "rootfs_cleanup_isar_apt"
rootfs_cleanup_isar_apt() {
    n3x_native rootfs.cleanup_isar_apt
}

ROOTFS_POSTPROCESS_COMMAND += "${@bb.utils.contains('ROOTFS_FEATURES', 'populate-systemd-preset', 'image_postprocess_populate_systemd_preset', '', d)}"
image_postprocess_populate_systemd_preset() {
    if [ -x '${ROOTFSDIR}/usr/bin/systemctl' ]; then
        sudo chroot '${ROOTFSDIR}' systemctl preset-all --preset-mode="enable-only"
    fi
}

do_rootfs_postprocess[vardeps] += "ROOTFS_POSTPROCESS_COMMAND ${ROOTFS_POSTPROCESS_COMMAND}"
python do_rootfs_postprocess() {
    bb.build.exec_func('n3x_do_rootfs_postprocess', d)
}
n3x_do_rootfs_postprocess() {
    n3x_native rootfs.postprocess
}
addtask rootfs_postprocess before do_rootfs after do_unpack

do_generate_initramfs[vardeps] += "ROOTFS_INITRAMFS_GENERATOR_CMDLINE INITRD_DEPLOY_FILE rootfs_generate_initramfs"
python do_generate_initramfs() {
    bb.build.exec_func('n3x_do_generate_initramfs', d)
}
n3x_do_generate_initramfs() {
    n3x_native rootfs.run rootfs_generate_initramfs
}
rootfs_generate_initramfs() {
    n3x_native rootfs.generate_initramfs
}
python() {
    if 'generate-initrd' in (d.getVar('ROOTFS_FEATURES') or '').split():
        bb.build.addtask('do_generate_initramfs', 'do_rootfs', 'do_rootfs_postprocess', d)
}

do_rootfs[noexec] = "1"
do_rootfs() {
    :
}
addtask rootfs before do_build
