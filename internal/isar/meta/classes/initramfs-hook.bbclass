# A package with a hook and scripts for initramfs-tools (initramfs-tools(7)). WORKDIR may hold "hook", the body of the
# hook, and "local-top" and so on, the bodies of scripts; "local-top-complete" is a script with its own header.

inherit dpkg-raw

FILESPATH:append = ":${LAYERDIR_core}/recipes-initramfs/initramfs-hook/files"
SRC_URI = "file://hook-header.tmpl file://script-header.tmpl"
TEMPLATE_FILES = "hook-header.tmpl script-header.tmpl"
TEMPLATE_VARS:append = " HOOK_PREREQ HOOK_ADD_MODULES HOOK_COPY_EXECS SCRIPT_PREREQ"

# Hooks and scripts that come before, kernel modules and programs to put into the initrd.
HOOK_PREREQ ?= ""
HOOK_ADD_MODULES ?= ""
HOOK_COPY_EXECS ?= ""
SCRIPT_PREREQ ?= ""

DEBIAN_DEPENDS = "initramfs-tools"

def get_initramfs_hook_name(d):
    return d.getVar('BPN').removeprefix('initramfs-').removesuffix('-hook')

INITRAMFS_HOOK_NAME ?= "${@get_initramfs_hook_name(d)}"

do_install() {
    tools="${D}/usr/share/initramfs-tools"
    if [ -f "${WORKDIR}/hook" ] || [ -n "${HOOK_COPY_EXECS}${HOOK_ADD_MODULES}" ]; then
        rm -rf "$tools/hooks"
        install -d -m 755 "$tools/hooks"
        install -m 755 "${WORKDIR}/hook-header" "$tools/hooks/${INITRAMFS_HOOK_NAME}"
        if [ -f "${WORKDIR}/hook" ]; then
            cat "${WORKDIR}/hook" >> "$tools/hooks/${INITRAMFS_HOOK_NAME}"
        else
            echo "exit 0" >> "$tools/hooks/${INITRAMFS_HOOK_NAME}"
        fi
    fi
    for script in init-top init-premount init-bottom local-top local-premount local-block local-bottom \
            nfs-top nfs-premount nfs-bottom; do
        target="$tools/scripts/$script/${INITRAMFS_HOOK_NAME}"
        if [ -f "${WORKDIR}/$script" ] || [ -f "${WORKDIR}/$script-complete" ]; then
            rm -rf "$tools/scripts/$script"
            install -d -m 755 "$tools/scripts/$script"
        fi
        if [ -f "${WORKDIR}/$script" ]; then
            install -m 755 "${WORKDIR}/script-header" "$target"
            cat "${WORKDIR}/$script" >> "$target"
        elif [ -f "${WORKDIR}/$script-complete" ]; then
            install -m 755 "${WORKDIR}/$script-complete" "$target"
        fi
    done
}
