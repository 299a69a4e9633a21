package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"n3x/internal/arch"
	"n3x/internal/diag"
	"n3x/internal/isar"
	"n3x/internal/rootfs"
	"n3x/internal/sandbox"
)

// generateInitramfs deploys an initrd made by the tree's own generator. Root file systems that differ only in what the
// generator does not read share one.
func (r *Room) generateInitramfs(ctx context.Context, c *isar.Call) error {
	t, err := tree(c)
	if err != nil {
		return err
	}
	command, err := c.Value("ROOTFS_INITRAMFS_GENERATOR_CMDLINE")
	if err != nil {
		return err
	}
	key, err := initrdKey(c, t, command)
	if err != nil {
		return err
	}
	if key == "" {
		if err := runGenerator(ctx, c, command); err != nil {
			return err
		}
		return deployInitrd(c)
	}
	epoch := t.Epoch()
	layers, err := c.DropTree()
	if err != nil {
		return err
	}
	l, err := c.Derive(filepath.Join(r.Layers, key), layers, epoch, func(c *isar.Call) error { return runGenerator(ctx, c, command) })
	if err != nil {
		return err
	}
	if err := c.MountTree(append(slices.Clone(layers), l)); err != nil {
		return err
	}
	return deployInitrd(c)
}

// kernelsOf are the versions of the kernels in the tree's /boot.
func kernelsOf(t *isar.Tree) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(t.Dir, "boot/vmlinu[xz]-*"))
	var out []string
	for _, f := range files {
		_, version, _ := strings.Cut(filepath.Base(f), "-")
		out = append(out, version)
	}
	slices.Sort(out)
	return out, err
}

// runGenerator runs the generator once for each kernel of the tree.
func runGenerator(ctx context.Context, c *isar.Call, command string) error {
	t, err := tree(c)
	if err != nil {
		return err
	}
	kernels, err := kernelsOf(t)
	if err != nil {
		return err
	}
	more, cleanup, err := generatorMounts(ctx, c, t)
	if err != nil {
		return err
	}
	defer cleanup()
	for _, version := range kernels {
		c.Progress.Step("generating the initrd of kernel " + version)
		cmd, err := chrootCommand(c, "/bin/sh", "-ec", command)
		if err != nil {
			return err
		}
		cmd.Env = append(cmd.Env, "kernel_version="+version)
		cmd.Mounts = append(cmd.Mounts, more...)
		if err := cmd.Run(ctx); err != nil {
			return err
		}
		if !exists(t, "/boot/initrd.img-"+version) {
			return diag.Failedf(c.Pos, "the initramfs generator succeeded but made no /boot/initrd.img-%s", version).
				WithHint("is initramfs-tools or dracut among the packages of the image? Its command was: %s", command)
		}
	}
	return nil
}

// generatorMounts lets the generator of a foreign architecture use programs of this machine for what takes long.
func generatorMounts(ctx context.Context, c *isar.Call, t *isar.Tree) (mounts []sandbox.Mount, cleanup func(), err error) {
	v, err := c.Values("DISTRO_ARCH", "WORKDIR")
	if err != nil {
		return nil, nil, err
	}
	tw, err := twins(ctx, c, arch.Arch(v[0]))
	if err != nil || tw.Root == "" {
		return nil, func() {}, err
	}
	dir, err := os.MkdirTemp(v[1], "twins-")
	if err != nil {
		return nil, nil, err
	}
	cleanup = func() { os.RemoveAll(dir) }
	if mounts, err = tw.Initramfs(dir, rootfs.Stack{t.Dir}); err != nil {
		cleanup()
	}
	return mounts, cleanup, err
}

// deployInitrd deploys the initrd of the last kernel.
func deployInitrd(c *isar.Call) error {
	t, err := tree(c)
	if err != nil {
		return err
	}
	kernels, err := kernelsOf(t)
	if err != nil {
		return err
	}
	if len(kernels) == 0 {
		_, err := fmt.Fprintln(c.Log, "no kernel in this root file system, so no initrd is made")
		return err
	}
	v, err := c.Values("DEPLOY_DIR_IMAGE", "INITRD_DEPLOY_FILE")
	if err != nil {
		return err
	}
	return copyFile(filepath.Join(t.Dir, "boot/initrd.img-"+kernels[len(kernels)-1]), filepath.Join(v[0], v[1]))
}

// initrdKey names an initrd by all that initramfs-tools may read for it: the layers of Debian's packages by their keys,
// the others by their content except for what no hook looks at. It is "" when that cannot be said: for another generator,
// or when a layer brings hooks or settings of its own, which may read anything.
func initrdKey(c *isar.Call, t *isar.Tree, command string) (string, error) {
	if !strings.HasPrefix(command, "update-initramfs ") || len(t.Layers) == 0 || !t.Layers[0].Base {
		return "", nil
	}
	r, err := readsOf(t)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintln(h, layerFormat, "initrd 2", command, t.Epoch().Unix())
	base := ""
	for _, l := range t.Layers {
		if l.Base {
			fmt.Fprintln(h, filepath.Base(l.Dir))
			if _, err := os.Lstat(filepath.Join(l.Dir, "var/lib/dpkg/status")); err == nil {
				base = l.Dir // the locales' layer has none
			}
			continue
		}
		plain, err := digestLayer(h, l.Dir, r)
		if err != nil || !plain {
			return "", err
		}
	}
	list, err := installed(t)
	if err != nil {
		return "", err
	}
	below, err := installed(&isar.Tree{Dir: base})
	if err != nil {
		return "", err
	}
	known := map[string]bool{} // by the layers' keys
	for _, p := range below {
		known[p.ID()] = true
	}
	for _, p := range list {
		if !known[p.ID()] && r.names(p.Name) { // hooks may ask dpkg for versions
			fmt.Fprintln(h, p.ID())
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:32], nil
}

// unread are the folders that hooks of initramfs-tools do not look into.
var unread = []string{"var/lib/dpkg", "var/log", "var/cache", "etc/apt", "usr/share/doc", "usr/share/man", "usr/share/info",
	"usr/share/locale", "usr/share/lintian"}

// isUnread also covers what systemd-networkd alone reads; udev's hook takes the .link files beside it.
func isUnread(name string) bool {
	for _, dir := range unread {
		if name == dir || strings.HasPrefix(name, dir+"/") {
			return true
		}
	}
	ext := path.Ext(name)
	return path.Base(path.Dir(name)) == "network" && strings.Contains(name, "systemd/network/") && (ext == ".network" || ext == ".netdev")
}

// digestLayer adds a layer's content to h; plain is false when the layer has hooks or settings of the generator.
func digestLayer(h hash.Hash, dir string, r *reads) (plain bool, err error) {
	plain = true
	err = filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil || isUnread(name) || r.skips(name) {
			return err
		}
		if strings.Contains(name, "initramfs-tools") {
			plain = false
			return fs.SkipAll
		}
		return digestEntry(h, file, name, d)
	})
	return plain, err
}

func digestEntry(h hash.Hash, file, name string, d fs.DirEntry) error {
	var st unix.Stat_t
	if err := unix.Lstat(file, &st); err != nil {
		return err
	}
	fmt.Fprintf(h, "%q %o %d %d %d\n", name, st.Mode, st.Uid, st.Gid, st.Rdev)
	switch {
	case d.IsDir():
		var opaque [1]byte
		n, _ := unix.Lgetxattr(file, "user.overlay.opaque", opaque[:]) // absent: not opaque
		fmt.Fprintln(h, n)
	case d.Type()&fs.ModeSymlink != 0:
		target, err := os.Readlink(file)
		fmt.Fprintf(h, "%q\n", target)
		return err
	case d.Type().IsRegular():
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		n, err := io.Copy(h, f)
		fmt.Fprintln(h, n)
		return err
	}
	return nil
}
