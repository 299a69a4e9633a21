# A package with settings for one distribution and machine, e.g. debian-trixie-hostname-customization-qemuamd64. Each
# image of CUSTOMIZATION_FOR_IMAGES has a variant of its own, in which variables can be set with the image as override.

inherit dpkg-raw customization-base

PRE_CUSTOMIZATION_PN := "${PN}"
FILESEXTRAPATHS:prepend := "${THISDIR}/${BPN}:"
PN =. "${@d.getVar('CUSTOMIZATION_PREFIX') + '-' if d.getVar('CUSTOMIZATION_PREFIX') else ''}"
PN .= "${@'-' + d.getVar('CUSTOMIZATION_SUFFIX') if d.getVar('CUSTOMIZATION_SUFFIX') else ''}"

BBCLASSEXTEND = "${@' '.join(['dpkg-customization:' + image for image in d.getVar('CUSTOMIZATION_FOR_IMAGES').split()])}"

python customization_virtclass_handler() {
    data = e.data
    recipe = data.getVar('PRE_CUSTOMIZATION_PN')
    image = data.getVar('BBEXTENDVARIANT') or ''
    if data.getVar('BBEXTENDCURR') != 'dpkg-customization' or image == '':
        data.appendVar('PROVIDES', ' ' + recipe)
        data.setVar('IMAGE', '')
        return
    if '${IMAGE}' not in (data.getVar('CUSTOMIZATION_VARS', expand=False) or '').split():
        return
    if image not in (data.getVar('CUSTOMIZATION_FOR_IMAGES') or '').split():
        return
    data.setVar('IMAGE', image)
    if not data.getVar('BPN').endswith('-' + image):
        data.appendVar('BPN', '-' + image)
    data.appendVar('PROVIDES', ' ' + recipe + '-' + image)
    data.appendVar('OVERRIDES', ':' + image)
}
addhandler customization_virtclass_handler
customization_virtclass_handler[eventmask] = "bb.event.RecipePreFinalise"
