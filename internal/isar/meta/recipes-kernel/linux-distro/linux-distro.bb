DESCRIPTION = "Debian's own kernels: nothing is built, the packages come from the archive"

do_deploy_deb() {
    :
}
do_deploy_deb[noexec] = "1"
addtask deploy_deb before do_build

python() {
    for flavour in (d.getVar('DISTRO_KERNELS') or '').split():
        for kind in ['image', 'headers', 'kbuild']:
            d.appendVar('PROVIDES', ' linux-' + kind + '-' + flavour)
}
