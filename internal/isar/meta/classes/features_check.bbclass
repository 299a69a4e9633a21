# Skips a recipe whose required features are missing or whose conflicting ones are present: ANY_OF_x_FEATURES,
# REQUIRED_x_FEATURES and CONFLICT_x_FEATURES are compared with x_FEATURES.

python() {
    if bb.utils.to_boolean(d.getVar('PARSE_ALL_RECIPES', False)):
        return
    used = False
    for kind in ['DISTRO', 'MACHINE', 'COMBINED', 'IMAGE', 'BSP', 'ROOTFS']:
        names = [condition + '_' + kind + '_FEATURES' for condition in ['ANY_OF', 'REQUIRED', 'CONFLICT']]
        if not [n for n in names if d.getVar(n) is not None or d.hasOverrides(n)]:
            continue
        used = True
        have = set((d.getVar(kind + '_FEATURES') or '').split())
        anyof, required, conflict = [set((d.getVar(n) or '').split()) for n in names]
        if anyof and anyof.isdisjoint(have):
            raise bb.parse.SkipRecipe("one of '%s' needs to be in %s_FEATURES" % (' '.join(anyof), kind))
        for wrong, text in [(required.difference(have), "missing required %s feature%s '%s' (not in %s_FEATURES)"),
                            (conflict.intersection(have), "conflicting %s feature%s '%s' (in %s_FEATURES)")]:
            if wrong:
                raise bb.parse.SkipRecipe(text % (kind.lower(), 's' if len(wrong) > 1 else '', ' '.join(wrong), kind))
    if not used:
        bb.warn("%s inherits features_check, but sets none of its variables" % d.getVar('PN'))
}
