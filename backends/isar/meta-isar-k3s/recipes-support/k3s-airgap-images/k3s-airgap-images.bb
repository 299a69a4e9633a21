DESCRIPTION = "Container images that K3s imports when it starts, for machines without a registry"
MAINTAINER = "n3x <n3x@localhost>"

inherit dpkg-raw
require recipes-support/k3s/k3s-release.inc

PV = "${K3S_VERSION}"
DPKG_ARCH = "any"

# The bundle of the release, or bundles of one's own, for instance file:///srv/images/my.tar.zst.
K3S_AIRGAP_BUNDLE = "k3s-airgap-images-${DISTRO_ARCH}.tar.zst"
K3S_AIRGAP_FILE = "k3s-airgap-images-${K3S_VERSION}-${DISTRO_ARCH}.tar.zst"
K3S_AIRGAP_RELEASED = "${K3S_URL}/${K3S_AIRGAP_BUNDLE};name=airgap;downloadfilename=${K3S_AIRGAP_FILE}"
K3S_AIRGAP_URI ??= "${K3S_AIRGAP_RELEASED}"
K3S_AIRGAP_SHA256_amd64 ??= ""
K3S_AIRGAP_SHA256_arm64 ??= ""

SRC_URI = "${@' '.join([uri + ';unpack=0;subdir=bundles' for uri in d.getVar('K3S_AIRGAP_URI').split()])}"
SRC_URI[airgap.sha256sum] = "${K3S_AIRGAP_SHA256_${DISTRO_ARCH}}"

python() {
    if not d.getVar('K3S_VERSION'):
        raise bb.parse.SkipRecipe(k3s_missing(d))
    arch = d.getVar('DISTRO_ARCH')
    if ';name=airgap' in d.getVar('K3S_AIRGAP_URI') and not d.getVar('K3S_AIRGAP_SHA256_' + arch):
        raise bb.parse.SkipRecipe('K3S_AIRGAP_SHA256_%s is not set: write there the line of %s in %s/sha256sum-%s.txt, or set K3S_AIRGAP_URI = "file:///FOLDER/BUNDLE.tar.zst" to your own bundle' % (arch, d.getVar('K3S_AIRGAP_BUNDLE'), d.getVar('K3S_URL'), arch))
}

# Only names that K3s takes: others it passes over without a word.
do_install[cleandirs] += "${D}"
do_install() {
    images=${D}/var/lib/rancher/k3s/agent/images
    install -d $images
    find '${WORKDIR}/bundles' -type f | sort | while read -r bundle; do
        name=$(basename "$bundle")
        case "$name" in
            *.tar | *.tar.gz | *.tgz | *.tar.bz2 | *.tbz | *.tar.lz4 | *.tar.zst | *.tzst) ;;
            *) bbfatal "K3s imports no images from a file called $name: K3S_AIRGAP_URI needs a name that ends in .tar, .tar.zst, .tar.gz, .tar.lz4 or .tar.bz2" ;;
        esac
        if [ "$name" = '${K3S_AIRGAP_FILE}' ]; then
            name='${K3S_AIRGAP_BUNDLE}'
        fi
        if [ -e "$images/$name" ]; then
            bbfatal "K3S_AIRGAP_URI has two bundles called $name"
        fi
        install -m 0644 "$bundle" "$images/$name"
    done
    rmdir --ignore-fail-on-non-empty $images
    if [ ! -d $images ]; then
        bbfatal "K3S_AIRGAP_URI (${K3S_AIRGAP_URI}) brings no file"
    fi
}

# What is compressed already takes minutes to compress again, and gets no smaller.
do_prepare_build:append() {
    printf '\noverride_dh_builddeb:\n\tdh_builddeb -- -Zgzip -z1\n' >> ${S}/debian/rules
}
