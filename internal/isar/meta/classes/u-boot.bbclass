# U-Boot as packages: u-boot-MACHINE has the binaries below /usr/lib/u-boot/MACHINE, u-boot-MACHINE-dev the library that
# reads and writes the environment, u-boot-tools (on demand) mkimage and others, u-boot-MACHINE-config (on demand) what
# fw_printenv reads.

DESCRIPTION ?= "Custom U-Boot"

# U_BOOT_CONFIG is the configuration, U_BOOT_BIN what make builds, U_BOOT_BIN_INSTALL which files of it are installed.
U_BOOT_BIN_INSTALL ?= "${U_BOOT_BIN}"
U_BOOT_EXTRA_BUILDARGS ??= "BL31=${BL31} TEE=${TEE}"
U_BOOT_TOOLS_PACKAGE ?= "0"
U_BOOT_CONFIG_PACKAGE ?= "0"
DEBIAN_BUILD_DEPENDS ?= "bc, bison, flex, device-tree-compiler, git"

PROVIDES += "u-boot-${MACHINE} u-boot-${MACHINE}-dev"
PROVIDES += "${@'u-boot-tools' if bb.utils.to_boolean(d.getVar('U_BOOT_TOOLS_PACKAGE')) else ''}"
PROVIDES += "${@('u-boot-config u-boot-' + d.getVar('MACHINE') + '-config') if bb.utils.to_boolean(d.getVar('U_BOOT_CONFIG_PACKAGE')) else ''}"

inherit dpkg

FILESPATH:append = ":${LAYERDIR_core}/recipes-bsp/u-boot/files"
SRC_URI += "file://debian/"

TEMPLATE_FILES = "debian/control.tmpl debian/rules.tmpl"
TEMPLATE_VARS += "MACHINE DEBIAN_BUILD_DEPENDS DEBIAN_COMPAT DEBIAN_STANDARDS_VERSION U_BOOT_CONFIG U_BOOT_BIN \
    U_BOOT_EXTRA_BUILDARGS"

do_prepare_build() {
    cp -r ${WORKDIR}/debian ${S}/
    chmod a+x ${S}/debian/rules
    deb_add_changelog

    : > ${S}/debian/u-boot-${MACHINE}.install
    for file in ${U_BOOT_BIN_INSTALL}; do
        echo "$file /usr/lib/u-boot/${MACHINE}" >> ${S}/debian/u-boot-${MACHINE}.install
    done
    echo "tools/env/libubootenv.a usr/lib" > ${S}/debian/u-boot-${MACHINE}-dev.install

    if [ "${U_BOOT_TOOLS_PACKAGE}" = "1" ]; then
        cat >> ${S}/debian/control <<EOF

Package: u-boot-tools
Architecture: linux-any
Depends: \${shlibs:Depends}, \${misc:Depends}
Description: ${DESCRIPTION}, companion tools
EOF
    fi

    if [ "${U_BOOT_CONFIG_PACKAGE}" = "1" ]; then
        [ -f ${WORKDIR}/fw_env.config ] || die "U_BOOT_CONFIG_PACKAGE needs a file fw_env.config; add file://fw_env.config to SRC_URI"
        cp ${WORKDIR}/fw_env.config ${S}/
        cat >> ${S}/debian/control <<EOF

Package: u-boot-${MACHINE}-config
Architecture: ${DISTRO_ARCH}
Provides: u-boot-config
Description: ${DESCRIPTION}, environment configuration
EOF
        for file in u-boot-initial-env fw_env.config; do
            echo "$file /etc" >> ${S}/debian/u-boot-${MACHINE}-config.install
        done
    fi
}
