# Provides the packages of Debian's own kernels: nothing is built, they come from the archive.

python() {
    variants = ['class-native', 'class-compat']
    if [o for o in d.getVar('OVERRIDES').split(':') if o in variants]:
        return
    names = [d.getVar('KERNEL_IMAGE_PKG'), d.getVar('KERNEL_HEADERS_PKG')]
    for flavour in (d.getVar('DISTRO_KERNELS') or '').split():
        names += ['linux-image-' + flavour, 'linux-headers-' + flavour, 'linux-kbuild-' + flavour]
    for name in names:
        if name:
            d.appendVar('PROVIDES', ' ' + name)
            d.appendVar('RPROVIDES', ' ' + name)
}

inherit multiarch
