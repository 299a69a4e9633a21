# Names of packages for apt: "x-compat" is x of the compatibility architecture, "x-native" is x of the host's.

def isar_multiarch_packages(var, d):
    out = []
    for p in (d.getVar(var) or '').split():
        if p.endswith('-compat'):
            out.append(p[:-len('-compat')] + ':' + d.getVar('COMPAT_DISTRO_ARCH'))
        elif p.endswith('-native'):
            out.append(p[:-len('-native')] + ':' + d.getVar('HOST_ARCH'))
        else:
            out.append(p)
    return ' '.join(out)
