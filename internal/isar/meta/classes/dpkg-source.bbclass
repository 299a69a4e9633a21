# Makes the source package from which the binary packages are built.

inherit dpkg-base

# For recipes that pack their own upstream archive: the same bits from the same files.
TAR_REPRO_OPTS ?= "--exclude=.git --exclude=debian --mtime=@${SOURCE_DATE_EPOCH} --clamp-mtime \
    --owner=0 --group=0 --numeric-owner --sort=name"

DPKG_SOURCE_EXTRA_ARGS ?= "-I"
DEBIAN_SOURCE ?= "${BPN}"

# The archive is read once, by the build: fast compression is worth more than a small file. Times in it are those of the
# changelog, so that a commit elsewhere does not change it.
do_dpkg_source() {
    if [ ! -f "${WORKDIR}/${PPS}/debian/changelog" ]; then
        bbfatal "${S} has no debian/changelog, so it is no source package; bring a debian folder with the sources, or let do_prepare_build call deb_debianize"
    fi
    deb_source_name=$(dpkg-parsechangelog --show-field Source --file "${WORKDIR}/${PPS}/debian/changelog")
    if [ "$deb_source_name" = unknown ]; then
        bbfatal "debian/changelog of ${PN} does not begin with 'name (version) distribution; urgency=level', but with '$(head -n 1 "${WORKDIR}/${PPS}/debian/changelog")'; is CHANGELOG_V (${CHANGELOG_V}) a Debian version?"
    fi
    if [ "$deb_source_name" != "${DEBIAN_SOURCE}" ]; then
        bbfatal "DEBIAN_SOURCE is '${DEBIAN_SOURCE}', but debian/changelog of ${PN} calls the source package '$deb_source_name'; set DEBIAN_SOURCE to the latter, or correct the changelog"
    fi
    find "${WORKDIR}" -maxdepth 1 -name "${DEBIAN_SOURCE}_*.dsc" -delete
    unset SOURCE_DATE_EPOCH
    cd "${WORKDIR}"
    dpkg-source -z1 ${DPKG_SOURCE_EXTRA_ARGS} -b "${PPS}"
}
addtask dpkg_source after do_prepare_build

CLEANFUNCS += "deb_clean_source"
deb_clean_source() {
    n3x_native dpkg.undeploy_source
}
deb_clean_source_in_shell() {
    repo_del_srcpackage "${REPO_ISAR_DIR}/${DISTRO}" "${REPO_ISAR_DB_DIR}/${DISTRO}" "${DEBDISTRONAME}" "${DEBIAN_SOURCE}"
}

do_deploy_source[depends] += "isar-apt:do_cache_config"
do_deploy_source[dirs] = "${S}"
do_deploy_source() {
    n3x_native dpkg.deploy_source
}
addtask deploy_source after do_dpkg_source

do_dpkg_build[depends] += "${BPN}:do_deploy_source"

# Variants of a recipe (native, compat) are built from the source package of the recipe itself.
do_fetch_common_source[depends] += "${BPN}:do_deploy_source"
do_fetch_common_source() {
    n3x_native dpkg.fetch_source
}
addtask fetch_common_source

do_dpkg_build[depends] += "${@'${PN}:do_dpkg_source' if '${PN}' == '${BPN}' else '${PN}:do_fetch_common_source'}"
do_clean[depends] += "${@'' if '${PN}' == '${BPN}' else '${BPN}:do_clean'}"
