# Skips a recipe whose required features are missing or whose conflicting ones are present.

python() {
    for kind in ['DISTRO', 'MACHINE', 'COMBINED', 'IMAGE', 'BSP', 'ROOTFS']:
        have = (d.getVar(kind + '_FEATURES') or '').split()
        anyof = (d.getVar('ANY_OF_' + kind + '_FEATURES') or '').split()
        if anyof and not [f for f in anyof if f in have]:
            raise bb.parse.SkipRecipe("none of '%s' in %s_FEATURES" % (' '.join(anyof), kind))
        missing = [f for f in (d.getVar('REQUIRED_' + kind + '_FEATURES') or '').split() if f not in have]
        if missing:
            raise bb.parse.SkipRecipe("missing required %s feature%s '%s'" % (kind.lower(), 's' if len(missing) > 1 else '', ' '.join(missing)))
        clash = [f for f in (d.getVar('CONFLICT_' + kind + '_FEATURES') or '').split() if f in have]
        if clash:
            raise bb.parse.SkipRecipe("conflicting %s feature%s '%s'" % (kind.lower(), 's' if len(clash) > 1 else '', ' '.join(clash)))
}
