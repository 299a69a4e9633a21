# Packages of the distribution's base that a layer rebuilds: all other packages are built with them.
ISAR_REBUILD_ESSENTIAL_PKGS ?= ""

inherit compat

python() {
    compat = isar_can_build_compat(d)
    native = d.getVar('DISTRO_ARCH') != d.getVar('HOST_ARCH')
    essential = []
    for name in (d.getVar('ISAR_REBUILD_ESSENTIAL_PKGS') or '').split():
        essential.append(name)
        if not (compat and name.endswith('-compat')) and not (native and name.endswith('-native')):
            if compat:
                essential.append(name + '-compat')
            if native:
                essential.append(name + '-native')
    if d.getVar('PN') in essential or not d.getVar('do_local_isarapt'):
        return
    for name in essential:
        d.appendVarFlag('do_local_isarapt', 'depends', ' ' + name + ':do_deploy_deb')
}
