# The download folder of Debian packages. n3x fills and reads it by itself, whatever a root file system is made of; recipes that move
# packages between it and a root file system of their own call these functions.

inherit repository

# deb_dl_dir_import ROOTFS DISTRO: what was downloaded before is in ROOTFS's package cache.
deb_dl_dir_import() {
    mkdir -p "$1/var/cache/apt/archives/partial"
    touch "$1/var/cache/apt/archives/lock"
    if [ -d "${DEBDIR}/$2" ]; then
        find "${DEBDIR}/$2" -type f -name '*.deb' -exec cp -n -l -t "$1/var/cache/apt/archives/" {} + 2> /dev/null ||
            find "${DEBDIR}/$2" -type f -name '*.deb' -exec cp -n -t "$1/var/cache/apt/archives/" {} +
    fi
}

# deb_dl_dir_export ROOTFS DISTRO: what ROOTFS's package cache has, and isar-apt has not, can be imported later.
deb_dl_dir_export() {
    mkdir -p "${DEBDIR}/$2"
    find "$1/var/cache/apt/archives/" -maxdepth 1 -type f -name '*.deb' | while read -r deb_file; do
        deb_name="${deb_file##*/}"
        [ ! -f "${DEBDIR}/$2/$deb_name" ] || continue
        deb_own=$(find "${REPO_ISAR_DIR}/${DISTRO}" -name "$deb_name" -print -quit 2> /dev/null || true)
        if [ -n "$deb_own" ] && cmp -s "$deb_own" "$deb_file"; then
            continue
        fi
        ln -P "$deb_file" "${DEBDIR}/$2/" 2> /dev/null || cp -n "$deb_file" "${DEBDIR}/$2/"
    done
}

debsrc_download() {
    die "debsrc_download needs apt in a root file system; set BASE_REPO_FEATURES = \"cache-deb-src\", or take single sources by SRC_URI = \"apt://NAME\""
}
dbg_pkgs_download() {
    die "dbg_pkgs_download needs apt in a root file system; set BASE_REPO_FEATURES = \"cache-dbg-pkgs\""
}
