# Installs the packages that CUSTOMIZATIONS names, in their form for this distribution, machine and image.

inherit customization-base

def customization_packages(d):
    names = d.getVar('CUSTOMIZATIONS').split()
    if not names:
        return ''
    image = d.getVar('BPN')
    d.setVar('IMAGE', image if image in (d.getVar('CUSTOMIZATION_FOR_IMAGES') or '').split() else '')
    before = d.getVar('CUSTOMIZATION_PREFIX')
    behind = d.getVar('CUSTOMIZATION_SUFFIX')
    if before:
        before += '-'
    behind = '-customization-' + behind if behind else '-customization'
    return ' '.join([before + name + behind for name in names])

CUSTOMIZATION_PACKAGES = "${@ customization_packages(d) }"
IMAGE_INSTALL:append = " ${CUSTOMIZATION_PACKAGES}"
