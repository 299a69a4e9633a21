# A kernel module outside the kernel's source, compiled against the headers of Debian's kernel or of one of our own. The
# recipe NAME becomes the package NAME-${KERNEL_NAME}.

DESCRIPTION ?= "Custom kernel module ${PN}"
MAINTAINER ?= "isar-users <isar-users@googlegroups.com>"

KERNEL_NAME ?= ""
PN .= "-${KERNEL_NAME}"

# The folder with Kbuild or Makefile. $(PWD) is that of the source.
MODULE_DIR ?= "$(PWD)"
# Modules that are loaded at each boot.
AUTOLOAD ?= ""

KERNEL_IMAGE_PKG ??= "linux-image-${KERNEL_NAME}"
KERNEL_HEADERS_PKG ??= "linux-headers-${KERNEL_NAME}"
DEPENDS += "${KERNEL_HEADERS_PKG}-native"
DEBIAN_BUILD_DEPENDS = "${KERNEL_HEADERS_PKG}"
# Symbols of modules cannot be split off.
DEB_BUILD_OPTIONS += "noautodbgsym"

# Signing. With the profile pkg.sign, sign-file of the kernel signs with a key and a certificate. With pkg.signwith,
# SIGNATURE_SIGNWITH is called as PROGRAM MODULE SIGNATURE-FILE HASH CERTIFICATE, and its signature is appended.
SIGNATURE_KEYFILE ??= "/usr/share/secure-boot-secrets/secure-boot.key"
SIGNATURE_CERTFILE ??= "/usr/share/secure-boot-secrets/secure-boot.pem"
SIGNATURE_HASHFN ??= "sha256"
SIGNATURE_SIGNWITH ??= "/usr/bin/sign-module.sh"
# "1" signs all modules with what the virtual packages module-signer and secure-boot-secrets bring.
KERNEL_MODULE_SIGNATURES ??= ""
DEB_BUILD_PROFILES += "${@'pkg.signwith' if bb.utils.to_boolean(d.getVar('KERNEL_MODULE_SIGNATURES')) else ''}"
DEPENDS += "${@'module-signer secure-boot-secrets' if bb.utils.to_boolean(d.getVar('KERNEL_MODULE_SIGNATURES')) else ''}"
DEBIAN_BUILD_DEPENDS .= "${@', module-signer, secure-boot-secrets' if bb.utils.to_boolean(d.getVar('KERNEL_MODULE_SIGNATURES')) else ''}"

FILESPATH:append = ":${LAYERDIR_core}/recipes-kernel/linux-module/files"
SRC_URI += "file://debian/"

# Headers of Debian's kernels depend on a compiler of their own architecture.
python() {
    if d.getVar('KERNEL_NAME') in (d.getVar('DISTRO_KERNELS') or '').split():
        d.setVar('ISAR_CROSS_COMPILE', '0')
}

inherit dpkg
inherit per-kernel

KCFLAGS ?= "-fdebug-prefix-map=${CURDIR}=. -fmacro-prefix-map=${CURDIR}=."
KAFLAGS ?= "-fdebug-prefix-map=${CURDIR}=."

TEMPLATE_FILES = "debian/control.tmpl debian/rules.tmpl"
TEMPLATE_VARS += " \
    PN \
    DEBIAN_BUILD_DEPENDS \
    DEBIAN_COMPAT \
    DEBIAN_STANDARDS_VERSION \
    KERNEL_NAME \
    KERNEL_TYPE \
    KERNEL_IMAGE_PKG \
    KERNEL_HEADERS_PKG \
    KCFLAGS \
    KAFLAGS \
    MODULE_DIR \
    SIGNATURE_KEYFILE \
    SIGNATURE_CERTFILE \
    SIGNATURE_HASHFN \
    SIGNATURE_SIGNWITH \
"

do_prepare_build() {
    rm -rf ${S}/debian
    cp -r ${WORKDIR}/debian ${S}/
    chmod a+x ${S}/debian/rules
    deb_add_changelog

    for module in ${AUTOLOAD}; do
        cat >> ${S}/debian/postinst <<EOF
grep -qsx $module /etc/modules || echo $module >> /etc/modules
EOF
    done
}
