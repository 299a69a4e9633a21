# Variants of a recipe for other architectures: "x-native" for the machine that builds, "x-compat" for the image's
# second architecture. A variant's PN has the suffix, its BPN has not.

inherit compat

python() {
    def is_variant(name):
        return name.endswith('-native') or name.endswith('-compat')

    # The package of the recipe itself serves as the variant.
    def provide(suffix):
        if is_variant(pn):
            return
        for name in (d.getVar('PROVIDES') or '').split():
            if not is_variant(name):
                d.appendVar('PROVIDES', ' ' + name + suffix)
        d.appendVar('PROVIDES', ' ' + pn + suffix)

    pn = d.getVar('PN')
    crossed = d.getVar('HOST_ARCH') != d.getVar('DISTRO_ARCH')
    if isar_can_build_compat(d):
        if d.getVar('DPKG_ARCH') == 'all':
            provide('-compat')
        else:
            d.appendVar('BBCLASSEXTEND', ' compat')
    # Packages for all architectures get a native variant too: what they depend on may need one.
    if crossed:
        d.appendVar('BBCLASSEXTEND', ' native')
    else:
        provide('-native')

    # Without cross compilation the build happens on the image's architecture, and so do its tools.
    depends = d.getVar('DEPENDS')
    if depends is not None and crossed and not bb.utils.to_boolean(d.getVar('ISAR_CROSS_COMPILE')):
        d.setVar('DEPENDS', ' '.join([n[:-len('-native')] if n.endswith('-native') else n for n in depends.split()]))
}

python multiarch_virtclass_handler() {
    data = e.data

    # These are needed while a variant is parsed, so a PN in them means the recipe's own name.
    def own_name_in_sources():
        for uri in (data.getVar('SRC_URI', expand=False) or '').split():
            if '${PN}' in uri:
                data.setVar('SRC_URI:remove', uri)
                data.appendVar('SRC_URI', ' ' + uri.replace('${PN}', '${BPN}'))
        for path in (data.getVar('FILESPATH', expand=False) or '').split(':'):
            if '${PN}' in path:
                data.appendVar('FILESPATH', ':' + path.replace('${PN}', '${BPN}'))

    # What a variant needs and provides are variants. "x-archall" is x in the native variant, and nothing in others.
    def renamed(names, suffix):
        out = []
        for name in names:
            if name.endswith('-compat') or name.endswith('-native'):
                out.append(name)
            if not name.endswith('-archall'):
                out.append(name + suffix)
            elif suffix == '-native':
                out.append(name[:-len('-archall')])
        return ' '.join(out)

    pn = data.getVar('PN')
    for suffix in ['-compat', '-native']:
        if pn.endswith(suffix):
            data.setVar('BPN', pn[:-len(suffix)])
            data.appendVar('OVERRIDES', ':class' + suffix)
            own_name_in_sources()
            for name in ['PROVIDES', 'RPROVIDES', 'DEPENDS', 'RDEPENDS']:
                value = data.getVar(name)
                if value is not None:
                    data.setVar(name, renamed(value.split(), suffix))
            return
    # A package for all architectures is built where that is fastest.
    if data.getVar('DPKG_ARCH') == 'all' and data.getVar('HOST_ARCH') != data.getVar('DISTRO_ARCH'):
        data.setVar('PACKAGE_ARCH', data.getVar('HOST_ARCH'))
}
addhandler multiarch_virtclass_handler
multiarch_virtclass_handler[eventmask] = "bb.event.RecipePreFinalise"

# Names of packages as apt knows them, from names of recipes: "x-compat" becomes x:i386, say.
def isar_multiarch_packages(var, d):
    compat = d.getVar('COMPAT_DISTRO_ARCH')
    out = []
    for name in (d.getVar(var) or '').split():
        if name.endswith('-compat') and compat is not None:
            name = name[:-len('-compat')] + ':' + compat
        elif name.endswith('-native'):
            name = name[:-len('-native')] + ':' + d.getVar('HOST_ARCH')
        out.append(name)
    return ' '.join(out)
