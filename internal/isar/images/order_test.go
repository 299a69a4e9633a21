package images

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/isar"
)

// TestInstallOrder holds that files which a package's script writes, such as hostname-customization's /etc/hostname, are
// not removed after it, and that functions which look at the minimal system find it.
func TestInstallOrder(t *testing.T) {
	t.Parallel()
	functions := map[string]string{"configure": "n3x_native rootfs.configure_apt\n", "fstab": "n3x_native image.configure_fstab\n",
		"clean": "n3x_native rootfs.clean_files\n", "rootfs_install_pkgs_install": "n3x_native rootfs.pkgs_install\n", "own": "echo\n"}
	for _, c := range []struct {
		name, configure, install, files, order string
		late                                   bool
	}{
		{"as ISAR has it", "configure fstab", "clean rootfs_install_pkgs_install own", "/etc/hostname /etc/resolv.conf", "clean rootfs_install_pkgs_install configure fstab own", true},
		{"a file of a Debian package", "configure fstab", "clean rootfs_install_pkgs_install", "/etc/hostname /etc/motd", "configure fstab clean rootfs_install_pkgs_install", false},
		{"a function of a layer before", "configure own", "clean rootfs_install_pkgs_install", "", "configure own clean rootfs_install_pkgs_install", false},
		{"a marked function of a layer", "configure", "own clean rootfs_install_pkgs_install", "", "configure own clean rootfs_install_pkgs_install", false},
	} {
		d := datastore.New()
		vars := map[string]string{"ROOTFS_CONFIGURE_COMMAND": c.configure, "ROOTFS_INSTALL_COMMAND": c.install, "ROOTFS_CLEAN_FILES": c.files}
		for name, value := range functions {
			vars[name] = value
		}
		for name, value := range vars {
			if err := d.SetVar(name, value); err != nil {
				t.Fatal(err)
			}
		}
		if strings.Contains(c.name, "marked") {
			if err := d.SetVarFlag("own", "before", "own-packages"); err != nil {
				t.Fatal(err)
			}
		}
		call := &isar.Call{Task: isar.Task{Recipe: "x", Data: d}}
		order, late, err := installOrder(call)
		if err != nil || late != c.late {
			t.Errorf("%s: late is %v, %v", c.name, late, err)
		}
		if diff := cmp.Diff(c.order, strings.Join(order, " ")); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
		if own, err := beforeOwn(call, order); err != nil || own != (c.late || strings.Contains(c.name, "marked")) {
			t.Errorf("%s: the functions before are for packages of the build alone: %v, %v", c.name, own, err)
		}
	}
}
