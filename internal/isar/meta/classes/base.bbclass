# What every recipe has: fetching, unpacking, cleaning, logging.

HOST_ARCH := "${N3X_HOST_ARCH}"
HOST_DISTRO ??= "${DISTRO}"

inherit logging
inherit template

THISDIR = "${@os.path.dirname(d.getVar('FILE'))}"
FILESPATH = "${@base_set_filespath(["${FILE_DIRNAME}/${PF}", "${FILE_DIRNAME}/${P}", "${FILE_DIRNAME}/${PN}", "${FILE_DIRNAME}/files", "${FILE_DIRNAME}"], d)}"

def base_set_filespath(path, d):
    extra = (d.getVar("FILESEXTRAPATHS") or "").replace("__default:", "")
    if extra != "":
        path = extra.split(":") + path
    overrides = (":" + (d.getVar("FILESOVERRIDES") or "")).split(":")
    overrides.reverse()
    filespath = []
    for o in overrides:
        for p in path:
            if p != "":
                filespath.append(os.path.join(p, o))
    return ":".join(filespath)

def deb_list_beautify(d, varname):
    items = [a.strip() for a in (d.getVar(varname) or '').split(',')]
    return ', '.join([a for a in items if a])

# Proxies reach the fetchers by n3x itself; recipes still call this for its side effect in ISAR.
def isar_export_proxies(d):
    return ''

def isar_export_ccache(d):
    return ''

# A preference for a recipe holds for its native variant too.
python multiarch_preferred_providers_handler() {
    prefix = 'PREFERRED_PROVIDER_'
    if e.data.getVar('HOST_ARCH') == e.data.getVar('DISTRO_ARCH'):
        return
    for name in [n for n in e.data.keys() if n.startswith(prefix) and not n.endswith('-native')]:
        value = e.data.getVar(name)
        if value and not e.data.getVar(name + '-native'):
            e.data.setVar(name + '-native', value + '-native')
}
addhandler multiarch_preferred_providers_handler
multiarch_preferred_providers_handler[eventmask] = "bb.event.ConfigParsed"

die() {
    bbfatal "$*"
}

# ISAR's recipes write root work with these; every task is already root in its own user namespace.
run_privileged() {
    "$@"
}
run_privileged_heredoc() {
    /bin/bash -s "$@"
}
run_in_chroot() {
    chroot "$@"
}

addtask fetch
do_fetch[dirs] = "${DL_DIR}"
do_fetch[network] = "${TASK_USE_NETWORK}"
do_fetch[vardeps] += "SRC_URI SRCREV N3X_APT_SOURCES N3X_GIT_REVISIONS"
do_fetch[file-checksums] = "${@bb.fetch.get_checksum_file_list(d)}"
python do_fetch() {
    bb.build.exec_func('n3x_do_fetch', d)
}
n3x_do_fetch() {
    n3x_native base.fetch
}

addtask unpack after do_fetch
do_unpack[dirs] = "${WORKDIR}"
python do_unpack() {
    bb.build.exec_func('n3x_do_unpack', d)
}
n3x_do_unpack() {
    n3x_native base.unpack
}

addtask build
do_build[noexec] = "1"
do_build() {
    :
}

CLEANFUNCS ?= ""
addtask clean
do_clean[nostamp] = "1"
python do_clean() {
    bb.build.exec_func('n3x_do_clean', d)
}
n3x_do_clean() {
    n3x_native base.clean
}

addtask cleansstate after do_clean
do_cleansstate[nostamp] = "1"
python do_cleansstate() {
    bb.build.exec_func('n3x_do_cleansstate', d)
}
n3x_do_cleansstate() {
    n3x_native base.cleansstate
}

addtask cleanall after do_cleansstate
do_cleanall[nostamp] = "1"
python do_cleanall() {
    bb.build.exec_func('n3x_do_cleanall', d)
}
n3x_do_cleanall() {
    n3x_native base.cleanall
}

addtask listtasks
do_listtasks[nostamp] = "1"
python do_listtasks() {
    bb.build.exec_func('n3x_do_listtasks', d)
}
n3x_do_listtasks() {
    n3x_native base.listtasks
}

addtask showdata
do_showdata[nostamp] = "1"
python do_showdata() {
    bb.build.exec_func('n3x_do_showdata', d)
}
n3x_do_showdata() {
    n3x_native base.showdata
}

python() {
    import re
    need_machine = d.getVar('COMPATIBLE_MACHINE')
    if need_machine:
        found = False
        for m in (d.getVar('MACHINEOVERRIDES') or '').split(':'):
            if re.match(need_machine, m):
                found = True
        if not found:
            raise bb.parse.SkipRecipe("incompatible with machine %s (not in COMPATIBLE_MACHINE)" % d.getVar('MACHINE'))
}
