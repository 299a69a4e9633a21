# Packages made by class dpkg-customization; refused until that class is supported.
CUSTOMIZATIONS ??= ""
LIST_VARIABLES += "CUSTOMIZATIONS"

python() {
    if (d.getVar('CUSTOMIZATIONS') or '').split():
        raise bb.parse.SkipRecipe("CUSTOMIZATIONS is set, and its class dpkg-customization is not supported by n3x yet")
}
