# Where packages are built. ISAR's functions around schroot and sbuild have nothing to prepare here: a build gets a
# throw-away copy of its root with the folders that ISAR mounts.

inherit crossvars

SCHROOT_MOUNTS ?= ""

schroot_create_configs() {
    :
}
schroot_delete_configs() {
    :
}
schroot_configure_ccache() {
    :
}
insert_mounts() {
    :
}
remove_mounts() {
    :
}

# Usage: sbuild_export VARIABLE VALUE... - before a build, hands the build a variable.
sbuild_export() {
    sbuild_export_name="$1"
    shift
    export "$sbuild_export_name=$*"
}
sbuild_add_env_filter() {
    :
}
sbuild_dpkg_log_export() {
    :
}

# Recipes that work with ISAR's build root by themselves are told at once.
schroot() {
    die "n3x has no schroot; packages are built by dpkg_runbuild, and tools run with imager_run or from the tools tree"
}
