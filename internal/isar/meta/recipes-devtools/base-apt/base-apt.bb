DESCRIPTION = "The repository of what was downloaded of the distribution, for builds without the network"

inherit repository

BASE_REPO_KEY ?= ""

# Does nothing unless ISAR_USE_CACHED_BASE_REPO is set. Root file systems and build roots do the same before they read it.
do_cache[vardeps] += "ISAR_USE_CACHED_BASE_REPO BASE_REPO_KEY BASE_DISTRO BASE_DISTRO_CODENAME"
do_cache[nostamp] = "1"
do_cache() {
    n3x_native base-apt.cache
}
addtask cache before do_build

# Said once for each configuration, since nothing else would tell.
python() {
    for feature in ['cache-deb-src', 'cache-dbg-pkgs']:
        if feature in (d.getVar('BASE_REPO_FEATURES') or '').split():
            bb.warn("BASE_REPO_FEATURES has %s, which n3x does not do yet: no sources and no debug symbols are downloaded for base-apt" % feature)
}
