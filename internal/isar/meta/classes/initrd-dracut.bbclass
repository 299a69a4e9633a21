# An initrd made by dracut(8). Its configuration is best a package, dracut-config-<name>, in INITRAMFS_INSTALL.

INITRAMFS_GENERATOR_PKG = "dracut"

DRACUT_CONFIG_PATH ??= ""
DRACUT_EXTRA_DRIVERS ??= ""
DRACUT_EXTRA_MODULES ??= ""
# Whether packages dracut-<module>, <module>-dracut and x-dracut-<module> add their module.
DRACUT_EXTRACT_MODULES_FROM_PACKAGE_NAMES ??= "False"

def dracut_module_of(package):
    if package.startswith('dracut-config-'):
        return ''
    if package.startswith('dracut-'):
        return package[len('dracut-'):]
    if package.endswith('-dracut'):
        return package[:-len('-dracut')]
    return package.split('-dracut-', 1)[1] if '-dracut-' in package else ''

def extend_dracut_cmdline(d):
    modules = (d.getVar('DRACUT_EXTRA_MODULES') or '').split()
    if bb.utils.to_boolean(d.getVar('DRACUT_EXTRACT_MODULES_FROM_PACKAGE_NAMES')):
        found = [dracut_module_of(p) for p in (d.getVar('INITRAMFS_INSTALL') or '').split()]
        modules = modules + [m for m in found if m]
    words = []
    for option, value in [('--conf', d.getVar('DRACUT_CONFIG_PATH')), ('--add-drivers', d.getVar('DRACUT_EXTRA_DRIVERS')), ('--add', ' '.join(modules))]:
        if value:
            words.append(option + ' ' + value)
    return ' '.join(words)

ROOTFS_INITRAMFS_GENERATOR_CMDLINE:append = " ${@ extend_dracut_cmdline(d)}"

inherit initramfs
