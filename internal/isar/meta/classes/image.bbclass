# A root file system, its boot files, and the disks and archives made of it.

WORKDIR = "${TMPDIR}/work/${DISTRO}-${DISTRO_ARCH}/${PN}-${MACHINE}/${PV}-${PR}"
DEPLOYDIR = "${WORKDIR}/deploy"
STAMP = "${STAMPS_DIR}/${DISTRO}-${DISTRO_ARCH}/${PN}-${MACHINE}/${PV}-${PR}"
STAMPCLEAN = "${STAMPS_DIR}/${DISTRO}-${DISTRO_ARCH}/${PN}-${MACHINE}/*-*"

IMAGE_INSTALL ?= ""
IMAGE_PREINSTALL ?= ""
IMAGE_FSTYPES ?= "ext4"
IMAGE_ROOTFS ?= "${WORKDIR}/rootfs"
IMAGE_FULLNAME = "${PN}-${DISTRO}-${MACHINE}"

KERNEL_IMAGE_PKG ??= "${@ ("linux-image-" + d.getVar("KERNEL_NAME")) if d.getVar("KERNEL_NAME") else ""}"
IMAGE_INSTALL += "${KERNEL_IMAGE_PKG}"
KERNEL_IMAGE ?= "${IMAGE_FULLNAME}-${KERNEL_FILE}"

# The initrd of another recipe instead of the one generated here; INITRD_IMAGE is its older name.
INITRD_IMAGE ?= ""
IMAGE_INITRD ?= ""
INITRD_DEPLOY_FILE = "${@ d.getVar('IMAGE_INITRD') or '${PN}' }-${DISTRO}-${MACHINE}-initrd.img"
do_image[depends] += "${@ '${IMAGE_INITRD}:do_build' if '${IMAGE_INITRD}' else '' }"
python() {
    if d.getVar('INITRD_IMAGE') and d.getVar('IMAGE_INITRD'):
        bb.warn('INITRD_IMAGE is ignored because IMAGE_INITRD is set')
        d.setVar('INITRD_IMAGE', '')
    elif d.getVar('INITRD_IMAGE'):
        bb.warn('INITRD_IMAGE is deprecated, use IMAGE_INITRD instead')
        d.setVar('INITRD_DEPLOY_FILE', d.getVar('INITRD_IMAGE'))
}

DTB_FILES ?= ""
PP = "/home/builder/${PN}-${MACHINE}"
PP_DEPLOY = "${PP}/deploy"
PP_ROOTFS = "${PP}/rootfs"
PP_WORK = "${PP}/work"
KERNEL_IMG = "${PP_DEPLOY}/${KERNEL_IMAGE}"
INITRD_IMG = "${PP_DEPLOY}/${INITRD_DEPLOY_FILE}"
DTB_IMG = "${PP_DEPLOY}/${@(d.getVar('DTB_FILES').split() or [''])[0]}"

FILESPATH =. "${LAYERDIR_core}/conf/distro:"
SRC_URI += "${@ ('file://' + d.getVar('DISTRO_CONFIG_SCRIPT')) if d.getVar('DISTRO_CONFIG_SCRIPT') else '' }"

DEPENDS += "${IMAGE_INSTALL}"

# What /etc/os-release calls BUILD_ID; by default the version of the build system, as in ISAR.
ISAR_RELEASE_CMD_DEFAULT = "echo '${N3X_BUILD_ID}'"
ISAR_RELEASE_CMD ?= "${ISAR_RELEASE_CMD_DEFAULT}"
get_build_id() {
    if ! ( ${ISAR_RELEASE_CMD} ) 2>/dev/null; then
        bbwarn "\"${ISAR_RELEASE_CMD}\" failed, BUILD_ID stays empty" >&2
        echo ""
    fi
}

inherit crossvars
inherit multiarch
inherit essential

ROOTFSDIR = "${IMAGE_ROOTFS}"
ROOTFS_FEATURES += "${@ 'generate-initrd' if (d.getVar('INITRD_IMAGE') == '' and d.getVar('IMAGE_INITRD') == '') else ''}"
ROOTFS_FEATURES += " \
    clean-package-cache \
    clean-pycache \
    generate-manifest \
    export-dpkg-status \
    clean-log-files \
    clean-debconf-cache \
    populate-systemd-preset \
"
ROOTFS_PACKAGES += "${IMAGE_PREINSTALL} ${@isar_multiarch_packages('IMAGE_INSTALL', d)}"
ROOTFS_VARDEPS += "IMAGE_INSTALL"
ROOTFS_MANIFEST_DEPLOY_DIR ?= "${DEPLOY_DIR_IMAGE}"
ROOTFS_DPKGSTATUS_DEPLOY_DIR ?= "${DEPLOY_DIR_IMAGE}"
ROOTFS_PACKAGE_SUFFIX ?= "${PN}-${DISTRO}-${MACHINE}"

inherit rootfs
inherit image-tools-extension
inherit image-postproc-extension
inherit image-locales-extension
inherit image-account-extension
inherit image-customizations

# The newest time in the image. Only the tasks that make it depend on this: the root file system below is made anew for
# other packages or settings, not for a later commit.
IMAGE_EPOCH = "${SOURCE_DATE_EPOCH}"
IMAGE_EPOCH[vardepvalue] = "${SOURCE_DATE_EPOCH}"

# MB beyond the content.
ROOTFS_EXTRA ?= "64"
set_image_size() {
    n3x_native image.size
}

ROOTFS_CONFIGURE_COMMAND += "image_configure_fstab"
image_configure_fstab[weight] = "2"
image_configure_fstab() {
    n3x_native image.configure_fstab
}

do_copy_boot_files[cleandirs] += "${DEPLOYDIR}"
do_copy_boot_files[dirs] += "${DEPLOY_DIR_IMAGE}"
do_copy_boot_files[vardeps] += "KERNEL_IMAGE DTB_FILES KERNEL_FILE"
do_copy_boot_files() {
    n3x_native image.copy_boot_files
}
addtask copy_boot_files before do_rootfs_postprocess after do_rootfs_install

# Image types.
IMAGE_CLASSES ??= ""
IMGCLASSES = "imagetypes imagetypes_wic squashfs"
IMGCLASSES += "${IMAGE_CLASSES}"
inherit ${IMGCLASSES}

IMAGE_FILE_HOST = "${DEPLOY_DIR_IMAGE}/${IMAGE_FULLNAME}.${type}"
IMAGE_FILE_CHROOT = "${PP_DEPLOY}/${IMAGE_FULLNAME}.${type}"
SUDO_CHROOT = "imager_run -d ${PP_ROOTFS} -u root --"

def get_base_type(t, d):
    for c in d.getVar('IMAGE_CONVERSIONS').split():
        if t.endswith('.' + c):
            return get_base_type(t[:-len('.' + c)], d)
    return t

def image_type_key(t):
    return t.replace('-', '_').replace('.', '_')

# All types without conversions that have to be made, dependencies before dependants.
def get_image_basetypes(d):
    done = []
    queue = (d.getVar('IMAGE_FSTYPES') or '').split()
    while queue:
        bt = get_base_type(queue.pop(0), d)
        if bt not in done:
            done.append(bt)
            queue = queue + (d.getVar('IMAGE_TYPEDEP:' + image_type_key(bt)) or '').split()
    return ' '.join(done)

IMAGE_BASETYPES = "${@get_image_basetypes(d)}"

# Secrets that only the finished image has, as SOURCE:TARGET: they are in no package, cache, work folder or log. A source is a file of
# its owner's alone, or one that age or sops encrypted (SOURCE#KEY names a value of several).
IMAGE_SECRETS ??= ""

# One task for each type: its IMAGE_CMD, then the conversions that IMAGE_FSTYPES asks for, then the removal of
# what was only an intermediate.
python() {
    asked = []
    for t in (d.getVar('IMAGE_FSTYPES') or '').split():
        if t not in asked:
            asked.append(t)
    basetypes = get_image_basetypes(d).split()
    for bt in basetypes:
        for dep in (d.getVar('IMAGE_TYPEDEP:' + image_type_key(bt)) or '').split():
            if dep not in asked:
                asked.append(dep)
    conversions = d.getVar('IMAGE_CONVERSIONS').split()

    for bt in basetypes:
        key = image_type_key(bt)
        task = 'do_image_' + key
        local = d.createCopy()
        local.setVar('OVERRIDES', key + ':' + (d.getVar('OVERRIDES', False) or ''))
        local.setVar('type', bt)
        missing = [a for a in (local.getVar('IMAGE_CMD_REQUIRED_ARGS') or '').split() if d.getVar(a) == None]
        if missing:
            bb.fatal("IMAGE_FSTYPES has %s, which needs these variables: %s" % (bt, ', '.join(missing)))
        command = d.getVar('IMAGE_CMD:' + key, False)
        if not command:
            raise bb.parse.SkipRecipe("IMAGE_FSTYPES has %s, but no IMAGE_CMD:%s says how to make it; known types: tar ext4 cpio squashfs wic, with .gz .xz .zst" % (bt, key))
        cmds = [local.expand(command)]
        if (d.getVar('IMAGE_SECRETS') or '').strip():
            cmds.append('umask 077') # what is converted from a private file is private

        install = (d.getVar('IMAGER_INSTALL:' + key) or '').split()
        made = [bt]
        for t in asked:
            if get_base_type(t, d) != bt:
                continue
            rest = t[len(bt):].split('.')[1:]
            current = bt
            for c in rest:
                converted = current + '.' + c
                if converted not in made:
                    made.append(converted)
                    local.setVar('type', current)
                    conversion = local.getVar('CONVERSION_CMD:' + c)
                    if not conversion:
                        bb.fatal("IMAGE_FSTYPES has %s, but the conversion %s is not supported" % (t, c))
                    cmds.append(conversion)
                    install = install + (d.getVar('CONVERSION_DEPS:' + c) or '').split()
                    d.appendVarFlag(task, 'vardeps', ' CONVERSION_CMD:' + c)
                current = converted
        for t in made:
            if t not in asked:
                local.setVar('type', t)
                cmds.append(local.expand('rm -f ${IMAGE_FILE_HOST}'))

        src = d.getVar('IMAGE_SRC_URI:' + key)
        if src:
            d.appendVar('SRC_URI', ' ' + src)
        for name in ['FILES', 'VARS']:
            templates = d.getVar('IMAGE_TEMPLATE_' + name + ':' + key)
            if templates:
                d.appendVar('TEMPLATE_' + name, ' ' + templates)

        after = 'do_image_tools'
        for dep in (d.getVar('IMAGE_TYPEDEP:' + key) or '').split():
            after = after + ' do_image_' + image_type_key(get_base_type(dep, d))
        depends = d.getVarFlag('IMAGE_CMD:' + key, 'depends')
        if depends:
            d.appendVarFlag(task, 'depends', ' ' + depends)
        d.delVarFlag('IMAGE_CMD:' + key, 'func')
        d.setVar(task, '\n'.join(cmds) + '\n')
        d.setVarFlag(task, 'func', '1')
        d.appendVarFlag(task, 'prefuncs', ' set_image_size')
        d.appendVarFlag(task, 'dirs', ' ' + d.getVar('DEPLOY_DIR_IMAGE'))
        d.appendVarFlag(task, 'vardeps', ' IMAGE_EPOCH IMAGE_CMD:' + key + ' INSTALL_image_' + key)
        if (d.getVar('IMAGE_SECRETS') or '').strip():
            d.appendVarFlag(task, 'vardeps', ' N3X_SECRETS_DIGEST')
        d.setVar('INSTALL_image_' + key, ' '.join((d.getVar('IMAGER_INSTALL') or '').split() + install))
        bb.build.addtask(task, 'do_image', after, d)
}

do_image_tools[noexec] = "1"
do_image_tools[deptask] = "do_deploy_deb"
do_image_tools() {
    :
}
addtask image_tools before do_build after do_rootfs

# ISAR makes a root file system with compilers of it.
addtask populate_sdk
do_populate_sdk[nostamp] = "1"
do_populate_sdk() {
    bbfatal "n3x makes no SDK yet; kas-container with real ISAR does: kas-container build FILES --task populate_sdk"
}

do_image[noexec] = "1"
do_image() {
    :
}
addtask image before do_build after do_image_tools

do_deploy[noexec] = "1"
do_deploy() {
    :
}
addtask deploy before do_build after do_image

# With BASE_REPO_FEATURES cache-deb-src the sources of all packages that were downloaded come to DL_DIR, and so to base-apt;
# with cache-dbg-pkgs those with debug symbols do.
CACHE_DEB_SRC = "${@bb.utils.contains('BASE_REPO_FEATURES', 'cache-deb-src', '1', '0', d)}"
do_cache_deb_src[network] = "${TASK_USE_NETWORK}"
do_cache_deb_src() {
    n3x_native deb-dl-dir.sources
}
python() {
    if bb.utils.to_boolean(d.getVar('CACHE_DEB_SRC')):
        bb.build.addtask('do_cache_deb_src', 'do_deploy', 'do_image', d)
}

ROOTFS_POSTPROCESS_COMMAND:prepend = "${@bb.utils.contains('BASE_REPO_FEATURES', 'cache-dbg-pkgs', 'cache_dbg_pkgs', '', d)} "
cache_dbg_pkgs() {
    n3x_native deb-dl-dir.debug
}

# *.list files of SRC_URI replace the sources of the finished image.
def apt_list_files(d):
    lists = []
    for s in (d.getVar('SRC_URI') or '').split():
        path = s.split(';')[0]
        if path.endswith('.list'):
            lists.append(os.path.basename(path))
    return ' '.join(lists)
IMAGE_LISTS = "${@ apt_list_files(d) }"

do_rootfs_finalize[vardeps] += "IMAGE_LISTS"
do_rootfs_finalize() {
    n3x_native image.rootfs_finalize
}
addtask rootfs_finalize before do_rootfs after do_rootfs_postprocess do_generate_initramfs

ROOTFS_QA_FIND_ARGS ?= ""
do_rootfs_quality_check() {
    n3x_native image.quality_check
}
addtask rootfs_quality_check after do_rootfs_finalize before do_rootfs
