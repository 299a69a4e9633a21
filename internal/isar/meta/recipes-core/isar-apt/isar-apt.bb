DESCRIPTION = "The repository of the packages that this build makes"

do_cache_config() {
    n3x_native isar-apt.cache_config
}
addtask cache_config before do_build
do_cache_config[vardeps] += "DEBDISTRONAME"
