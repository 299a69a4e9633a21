# One variant of a recipe for each name in KERNEL_NAMES. The variant for the kernel x has KERNEL_NAME = "x" and the
# override kernel-x; the recipe itself is the variant for its own KERNEL_NAME.

KERNEL_NAMES ?= "${KERNEL_NAME}"
OVERRIDES .= ":kernel-${KERNEL_NAME}"

def per_kernel_variants(d):
    own = d.getVar('KERNEL_NAME')
    return ' '.join(['per-kernel:' + k for k in (d.getVar('KERNEL_NAMES') or '').split() if k != own])

BBCLASSEXTEND += "${@per_kernel_variants(d)}"

python per_kernel_virtclass_handler() {
    recipe = d.getVar('PN')
    if e.data.getVar('BBEXTENDCURR') == 'per-kernel':
        kernel = e.data.getVar('BBEXTENDVARIANT')
        if kernel:
            e.data.setVar('KERNEL_NAME', kernel)
        else:
            e.data.appendVar('PROVIDES', ' ' + recipe)
}
per_kernel_virtclass_handler[eventmask] = "bb.event.RecipePreFinalise"
addhandler per_kernel_virtclass_handler
