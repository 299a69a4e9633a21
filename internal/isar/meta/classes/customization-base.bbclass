# What class dpkg-customization and images have in common: how packages with settings for one machine are called.

LIST_VARIABLES += "CUSTOMIZATIONS CUSTOMIZATION_VARS CUSTOMIZATION_VARS_PREFIXED"

CUSTOMIZATIONS ?= ""
CUSTOMIZATIONS[doc] = "Customization packages that images install, e.g. hostname"

CUSTOMIZATION_FOR_IMAGES ?= ""
CUSTOMIZATION_FOR_IMAGES[doc] = "Images that get customization packages of their own"
OVERRIDES:append = "${@ ':customization-for-images' if (d.getVar('CUSTOMIZATION_FOR_IMAGES') or '').strip() else '' }"

CUSTOMIZATION_VARS ?= "${DISTRO} ${MACHINE}"
CUSTOMIZATION_VARS:append:customization-for-images = " ${IMAGE}"
CUSTOMIZATION_VARS[doc] = "Values that become part of a customization package's name"

CUSTOMIZATION_VARS_PREFIXED ?= "${DISTRO}"
CUSTOMIZATION_VARS_PREFIXED[doc] = "Those of CUSTOMIZATION_VARS that stand before the name instead of behind it"

def customization_words(d, before):
    prefixed = d.getVar('CUSTOMIZATION_VARS_PREFIXED')
    return '-'.join([w for w in d.getVar('CUSTOMIZATION_VARS').split() if (w in prefixed) == before])

CUSTOMIZATION_PREFIX ?= "${@customization_words(d, True)}"
CUSTOMIZATION_SUFFIX ?= "${@customization_words(d, False)}"
