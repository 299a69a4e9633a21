// Package images holds the task bodies that make root file systems, and disks and archives of them. One file for each
// class, named like it.
//
// Mirrors ISAR's meta/classes-recipe/{rootfs,image,image-*-extension,imagetypes,imagetypes_wic}.bbclass.
package images

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	securejoin "github.com/cyphar/filepath-securejoin"

	"n3x/internal/diag"
	"n3x/internal/isar"
	"n3x/internal/sandbox"
)

// Room is what the task bodies of this package share: where packages and tools come from.
type Room struct {
	Archives *isar.Archives
	Tools    isar.Tools
	ToolsDir string // folder of trees with tools
	// RecordTools remembers a set of packages that an image took from its distribution; nil forgets.
	RecordTools func(archive string, packages []string) error

	Layers   string // folder of root file system layers that many images share
	ReadFile func(path string) ([]byte, error)
	Secrets  Secrets
}

// Natives are the functions of this room by the names that the embedded classes call them.
func (r *Room) Natives() map[string]isar.Native {
	return map[string]isar.Native{
		"rootfs.install":                   r.install,
		"rootfs.configure_isar_apt":        nothing, // the finished image does not have it, and nothing in between reads it
		"rootfs.configure_apt":             nothing,
		"rootfs.disable_initrd_generation": nothing, // installing never generates one
		"rootfs.restore_initrd_tooling":    nothing,
		"rootfs.cleanup_isar_apt":          nothing,
		"rootfs.clean_files":               cleanFiles,
		"rootfs.pkgs_install":              r.pkgsInstall,
		"rootfs.postprocess":               postprocess,
		"rootfs.run":                       runArgs,
		"rootfs.clean_package_cache":       cleanPackageCache,
		"rootfs.clean_log_files":           cleanLogFiles,
		"rootfs.clean_pycache":             cleanPycache,
		"rootfs.generate_manifest":         generateManifest,
		"rootfs.generate_initramfs":        r.generateInitramfs,
		"rootfs.add_files":                 addFiles,
		"image.configure_fstab":            configureFstab,
		"image.locales":                    locales,
		"image.machine_id":                 machineID,
		"image.sshd_key_regen":             sshdKeyRegen,
		"image.disable_systemd_firstboot":  disableSystemdFirstboot,
		"image.accounts":                   accounts,
		"image.copy_boot_files":            copyBootFiles,
		"image.rootfs_finalize":            rootfsFinalize,
		"image.quality_check":              nothing, // a warning of ISAR about its own order of steps
		"image.size":                       r.imageSize,
		"image.wicenv":                     nothing, // variables reach the .wks directly
		"image.ext4":                       r.ext4,
		"image.cpio":                       r.cpio,
		"image.tar":                        r.tar,
		"image.squashfs":                   r.squashfs,
		"image.wic":                        r.wic,
	}
}

func nothing(context.Context, *isar.Call) error { return nil }

// runArgs runs the functions that the embedded class names.
func runArgs(ctx context.Context, c *isar.Call) error {
	for _, name := range c.Args {
		if err := c.Exec(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// tree is the recipe's mounted root file system, or an error when no task has made one.
func tree(c *isar.Call) (*isar.Tree, error) {
	t := c.Tree()
	if t == nil {
		return nil, diag.Userf(c.Pos, "%s of %s needs a root file system, and none was installed before it", c.Name, c.Recipe).WithHint("let the task come after do_rootfs_install: `addtask %s after do_rootfs_install`", c.Name)
	}
	return t, nil
}

// inside is the path of name within the tree, with symbolic links followed as if the tree were the root.
func inside(t *isar.Tree, name string) (string, error) { return securejoin.SecureJoin(t.Dir, name) }

// exists reports whether the tree has name.
func exists(t *isar.Tree, name string) bool {
	p, err := inside(t, name)
	if err != nil {
		return false
	}
	_, err = os.Stat(p)
	return err == nil
}

// writeFile replaces a file of the tree, keeping its mode when it exists.
func writeFile(t *isar.Tree, name, text string) error {
	p, err := inside(t, name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if st, err := os.Stat(p); err == nil {
		mode = st.Mode().Perm()
	}
	return os.WriteFile(p, []byte(text), mode)
}

// readFile gives a file of the tree; a missing one is empty.
func readFile(t *isar.Tree, name string) (string, error) {
	p, err := inside(t, name)
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(p)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(data), err
}

// chroot runs a program of the tree, inside it.
func chroot(ctx context.Context, c *isar.Call, argv ...string) error {
	cmd, err := chrootCommand(c, argv...)
	if err != nil {
		return err
	}
	return cmd.Run(ctx)
}

// chrootCommand prepares a program of the tree with what Debian's programs expect of their surroundings.
func chrootCommand(c *isar.Call, argv ...string) (*sandbox.Cmd, error) {
	t, err := tree(c)
	if err != nil {
		return nil, err
	}
	epoch, err := c.Value("SOURCE_DATE_EPOCH")
	if err != nil {
		return nil, err
	}
	return &sandbox.Cmd{
		Argv: argv, Root: t.Dir, Stdout: c.Log, Stderr: c.Log,
		Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "TERM=dumb",
			"DEBIAN_FRONTEND=noninteractive", "SOURCE_DATE_EPOCH=" + epoch},
		Mounts: sandbox.System(),
	}, nil
}
