# Applies the patches of SRC_URI to S: files *.patch and *.diff, also compressed ones, unless apply=no.
#
# PATCHTOOL is quilt, git or patch. Parameters of an entry: apply, striplevel or pnum, patchdir, minver, maxver, minrev,
# maxrev, rev, notrev, mindate, maxdate.

QUILTRCFILE ?= "${WORKDIR}/.quiltrc"
PATCH_GIT_USER_NAME ?= "Isar"
PATCH_GIT_USER_EMAIL ?= "isar.patch@isar"
PATCHTOOL ??= "quilt"

inherit terminal

do_patch[umask] = "022"
do_patch[dirs] = "${WORKDIR}"
do_patch[vardeps] += "SRC_URI PATCHTOOL S PV SRCREV"
python do_patch() {
    bb.build.exec_func('n3x_do_patch', d)
}
n3x_do_patch() {
    n3x_native base.patch
}
addtask patch after do_unpack
