package images

import (
	"slices"

	"n3x/internal/diag"
	"n3x/internal/isar"
)

// early are the functions that layers know to come before the packages but that can as well run after them: with only
// these and cleaners before it, rootfs_install_pkgs_install starts from nothing and its layers are shared.
var early = []string{"rootfs.configure_isar_apt", "rootfs.configure_apt", "rootfs.disable_initrd_generation", "image.configure_fstab"}

// cleaners remove files of the minimal system before packages are installed, whose scripts may write them again: they
// must not run later. Of foreign files, which are ISAR's reason for them, nothing that n3x installs brings one.
var cleaners = []string{"rootfs.clean_files"}

// foreign are the files that ISAR's bootstrap takes from the machine that builds.
var foreign = []string{"/etc/hostname", "/etc/resolv.conf"}

// installOrder is the order of the functions of do_rootfs_install, and whether the packages come first. If they do not,
// what stands before them wants to find the minimal system.
func installOrder(c *isar.Call) (order []string, late bool, err error) {
	configure, err := c.Words("ROOTFS_CONFIGURE_COMMAND")
	if err != nil {
		return nil, false, err
	}
	commands, err := c.Words("ROOTFS_INSTALL_COMMAND")
	if err != nil {
		return nil, false, err
	}
	all := append(configure, commands...)
	at := slices.Index(all, "rootfs_install_pkgs_install")
	if at < 0 {
		return nil, false, diag.Userf(c.Pos, "ROOTFS_INSTALL_COMMAND of %s no longer has rootfs_install_pkgs_install: nothing would be installed", c.Recipe).
			WithHint("look for a :remove or an assignment with = in the recipe and its appends; use += to add functions")
	}
	if late, err = deferrable(c, all[:at]); err != nil || !late {
		return all, false, err
	}
	before, after, err := splitEarly(c, all[:at])
	return slices.Concat(before, all[at:at+1], after, all[at+1:]), true, err
}

// deferrable reports whether all functions may run after the packages, or, for cleaners, when nothing is installed yet.
func deferrable(c *isar.Call, functions []string) (bool, error) {
	for _, f := range functions {
		natives, pure, err := c.NativesOf(f)
		if err != nil {
			return false, err
		}
		if !pure || slices.ContainsFunc(natives, func(n string) bool { return !slices.Contains(early, n) && !slices.Contains(cleaners, n) }) {
			return false, nil
		}
		if slices.ContainsFunc(natives, func(n string) bool { return slices.Contains(cleaners, n) }) {
			files, err := c.Words("ROOTFS_CLEAN_FILES")
			if err != nil || slices.ContainsFunc(files, func(f string) bool { return !slices.Contains(foreign, f) }) {
				return false, err
			}
		}
	}
	return true, nil
}

// beforeOwn reports whether all functions that have to run before the packages are marked so that packages of this build are meant:
// NAME[before] = "own-packages".
func beforeOwn(c *isar.Call, order []string) (bool, error) {
	at := slices.Index(order, "rootfs_install_pkgs_install")
	for _, f := range order[:at] {
		flag, _, err := c.Data.VarFlag(f, "before", true)
		if err != nil {
			return false, err
		}
		if flag == "own-packages" {
			continue
		}
		if late, err := deferrable(c, []string{f}); err != nil || !late {
			return false, err
		}
	}
	return true, nil
}

// splitEarly separates functions that may all run late into the cleaners, which stay before the packages, and the others.
func splitEarly(c *isar.Call, functions []string) (before, after []string, err error) {
	for _, f := range functions {
		natives, _, err := c.NativesOf(f)
		if err != nil {
			return nil, nil, err
		}
		if slices.ContainsFunc(natives, func(n string) bool { return slices.Contains(cleaners, n) }) {
			before = append(before, f)
		} else {
			after = append(after, f)
		}
	}
	return before, after, nil
}
