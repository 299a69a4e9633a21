# The variant NAME-kbuildtarget of a kernel: scripts and tools that build modules on the target itself.

python kbuildtarget_virtclass_handler() {
    suffix = '-kbuildtarget'
    name = e.data.getVar('PN')
    if name.endswith(suffix):
        e.data.setVar('BPN', name[:-len(suffix)])
        e.data.appendVar('OVERRIDES', ':class-kbuildtarget')
}
kbuildtarget_virtclass_handler[eventmask] = "bb.event.RecipePreFinalise"
addhandler kbuildtarget_virtclass_handler
