# Shell functions with which recipes change a Debian repository: its folder, the folder of its database, its codename, and
# what it is about. n3x-repo is a part of n3x that the sandbox has; it works on isar-apt too.

def repo_expand_opt_fields(d, var):
    flags = d.getVarFlags(var) or {}
    return '\n'.join('%s: %s' % (name, flags[name]) for name in sorted(flags))

# repo_create DIR DBDIR CODENAME TEMPLATE [KEYFILES [FIELDS]]: a repository that is there stays as it is. The template is
# ISAR's distributions.in; every repository has its architectures and its component here.
repo_create() {
    n3x-repo create "$1" "$2" "$3" "${5:-}" "${6:-}"
}

repo_add_srcpackage() {
    n3x-repo add-source "$@"
}

repo_add_packages() {
    n3x-repo add-packages "$@"
}

# repo_del_srcpackage DIR DBDIR CODENAME SOURCE
repo_del_srcpackage() {
    n3x-repo remove-source "$@"
}

# repo_del_package DIR DBDIR CODENAME FILE: the package of the name and architecture of FILE.
repo_del_package() {
    n3x-repo remove-package "$@"
}

# repo_contains_package DIR DBDIR CODENAME FILE: 0 = this very file is there, 1 = another one of the same version, 2 = none.
repo_contains_package() {
    n3x-repo contains-package "$@"
}

# repo_sanity_test DIR DBDIR: with cache-deb-src, no source may be missing.
repo_sanity_test() {
    if [ "${@bb.utils.contains('BASE_REPO_FEATURES', 'cache-deb-src', 'yes', 'no', d)}" = "yes" ]; then
        repo_missing="$(n3x-repo missing-sources "$1" "$2" "${BASE_DISTRO_CODENAME}")"
        if [ -n "$repo_missing" ]; then
            bbfatal "One or more sources are missing in repo. $repo_missing"
        fi
    fi
}
