# The second architecture that a machine can run: i386 on amd64, armhf on arm64. Packages are built for it when
# ISAR_ENABLE_COMPAT_ARCH is set. Inherited for its variables, and by the variants that BBCLASSEXTEND makes.

# Both variables may hang on the image's architecture, which a variant's own PACKAGE_ARCH takes the place of in OVERRIDES.
python() {
    distro_arch = d.getVar('DISTRO_ARCH')
    if not distro_arch:
        bb.fatal("DISTRO_ARCH is not set; the machine's configuration sets it")
    package_arch = d.getVar('PACKAGE_ARCH')
    others = [o for o in d.getVar('OVERRIDES').split(':') if o != package_arch]
    target = bb.data.createCopy(d)
    target.setVar('OVERRIDES', ':'.join([distro_arch] + others))
    for name in ['COMPAT_DISTRO_ARCH', 'ISAR_ENABLE_COMPAT_ARCH']:
        d.setVar(name, target.getVar(name))
}

def isar_can_build_compat(d):
    return d.getVar('COMPAT_DISTRO_ARCH') is not None and bb.utils.to_boolean(d.getVar('ISAR_ENABLE_COMPAT_ARCH'))

PACKAGE_ARCH:class-compat = "${COMPAT_DISTRO_ARCH}"
