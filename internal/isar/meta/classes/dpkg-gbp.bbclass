# Packages whose sources are a git repository in the layout of git-buildpackage: gbp makes the upstream archive.

inherit dpkg

S = "${WORKDIR}/git"
PATCHTOOL ?= "git"
GBP_EXTRA_OPTIONS ?= "--git-pristine-tar"

do_dpkg_source:prepend() {
    (
        cd "${WORKDIR}/${PPS}"
        gbp buildpackage --git-ignore-new --git-builder=/bin/true ${GBP_EXTRA_OPTIONS}
    )
}
