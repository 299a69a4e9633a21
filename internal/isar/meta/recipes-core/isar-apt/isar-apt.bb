DESCRIPTION = "The repository of the packages that this build makes"

inherit repository

# ISAR_APT_OPT_FIELD[Origin] = "my company" adds a field to the Release file; with the field SignWith, which names a key in
# GNUPGHOME, the repository is signed.
ISAR_APT_FIELDS = "${@repo_expand_opt_fields(d, 'ISAR_APT_OPT_FIELD')}"

do_cache_config[vardeps] += "DEBDISTRONAME ISAR_APT_FIELDS"
do_cache_config() {
    n3x_native isar-apt.cache_config
}
addtask cache_config before do_build
