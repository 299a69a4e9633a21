# Applies the patches of SRC_URI to S: files *.patch and *.diff, also compressed ones, unless apply=no.
#
# PATCHTOOL is quilt, git or patch. Parameters of an entry: apply, striplevel or pnum, patchdir, minver, maxver, minrev,
# maxrev, rev, notrev, mindate, maxdate. With PATCHTOOL git and PATCH_COMMIT_FUNCTIONS, what each task from do_unpack to
# do_patch changes in S becomes a commit.

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

python () {
    if d.getVar('PATCHTOOL') == 'git' and bb.utils.to_boolean(d.getVar('PATCH_COMMIT_FUNCTIONS')):
        d.appendVarFlag('do_patch', 'prefuncs', ' patch_task_patch_prefunc')
        for task in bb.build.tasksbetween('do_unpack', 'do_patch', d):
            if task != 'do_unpack':
                d.appendVarFlag(task, 'postfuncs', ' patch_task_postfunc')
}

# Commits belong to the sources' own repository, or to one between them and WORKDIR; never to one around these.
patch_task_patch_prefunc() {
    folder="${S}"
    while [ "$folder" != "${WORKDIR}" ] && [ ! -e "$folder/.git" ]; do
        if [ "$folder" = / ]; then
            return 0
        fi
        folder="$(dirname "$folder")"
    done
    if [ "$folder" = "${WORKDIR}" ]; then
        bbfatal "PATCH_COMMIT_FUNCTIONS is set, but ${S} is no git repository"
    fi
    rm -f "${T}/patches-were-there"
    if [ -d "${S}/patches" ] && ! rmdir "${S}/patches" 2> /dev/null; then
        touch "${T}/patches-were-there"
    fi
}

# After do_patch its notes in the folder patches go; files of the sources stay there.
patch_task_postfunc() {
    if [ ! -d "${S}" ]; then
        return 0
    fi
    cd "${S}"
    if [ "${BB_RUNTASK}" = do_patch ]; then
        rm -rf patches
        if [ -e "${T}/patches-were-there" ]; then
            git checkout -q patches
        fi
    fi
    if [ -n "$(git status --porcelain .)" ]; then
        export GIT_AUTHOR_DATE="@${SOURCE_DATE_EPOCH} +0000" GIT_COMMITTER_DATE="@${SOURCE_DATE_EPOCH} +0000"
        git add .
        git -c user.name="${PATCH_GIT_USER_NAME}" -c user.email="${PATCH_GIT_USER_EMAIL}" commit -q -a --no-verify -m "Committing changes from ${BB_RUNTASK}"
        git -c user.name="${PATCH_GIT_USER_NAME}" -c user.email="${PATCH_GIT_USER_EMAIL}" notes --ref refs/notes/devtool append -m ignore HEAD
    fi
}
