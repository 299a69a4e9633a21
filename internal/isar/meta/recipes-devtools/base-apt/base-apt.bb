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
