package images

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"n3x/internal/atomicfile"
	"n3x/internal/diag"
	"n3x/internal/isar"
)

// configureFstab writes the part of /etc/fstab that does not depend on the disk; the disk's layout adds its own lines.
// With ISAR it runs before the packages are installed, so what their scripts have put there follows.
func configureFstab(_ context.Context, c *isar.Call) error {
	t, err := tree(c)
	if err != nil {
		return err
	}
	path, err := inside(t, "/etc/fstab")
	if err != nil {
		return err
	}
	more, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	return writeFile(t, "/etc/fstab", `# Begin /etc/fstab
proc		/proc		proc		nosuid,noexec,nodev	0	0
sysfs		/sys		sysfs		nosuid,noexec,nodev	0	0
devpts		/dev/pts	devpts		gid=5,mode=620		0	0
tmpfs		/run		tmpfs		defaults		0	0
devtmpfs	/dev		devtmpfs	mode=0755,nosuid	0	0

# End /etc/fstab
`+string(more))
}

// kernelOf is the kernel that the tree's links name as the one to boot, "" when there is none.
func kernelOf(t *isar.Tree) (string, error) {
	for _, name := range []string{"/vmlinuz", "/vmlinux", "/boot/vmlinuz", "/boot/vmlinux"} {
		path, err := inside(t, name)
		if err != nil {
			return "", err
		}
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", nil
}

// copyBootFiles deploys the kernel and the device trees of DTB_FILES.
func copyBootFiles(_ context.Context, c *isar.Call) error {
	t, err := tree(c)
	if err != nil {
		return err
	}
	v, err := c.Values("DEPLOYDIR", "DEPLOY_DIR_IMAGE", "KERNEL_IMAGE")
	if err != nil {
		return err
	}
	deploy := func(source, name string) error {
		for _, dir := range v[:2] {
			if err := copyFile(source, filepath.Join(dir, name)); err != nil {
				return err
			}
		}
		return nil
	}
	kernel, err := kernelOf(t)
	if err != nil {
		return err
	}
	if kernel != "" {
		if err := deploy(kernel, v[2]); err != nil {
			return err
		}
	}
	names, err := c.Words("DTB_FILES")
	if err != nil {
		return err
	}
	for _, name := range names {
		path, err := findDTB(t, name)
		if err != nil {
			return err
		}
		if path == "" {
			return diag.Userf(c.Pos, "DTB_FILES names %s, which no kernel package of the image has below /usr/lib/linux-image-*", name).
				WithHint("look at the files of linux-image: `dpkg-deb -c` on its .deb in DL_DIR")
		}
		if err := deploy(path, filepath.Base(name)); err != nil {
			return err
		}
	}
	return nil
}

func findDTB(t *isar.Tree, name string) (string, error) {
	root, err := inside(t, "/usr/lib")
	if err != nil {
		return "", err
	}
	var found string
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && filepath.Dir(path) == root && !strings.HasPrefix(d.Name(), "linux-image-"):
			return fs.SkipDir
		case d.Type().IsRegular() && strings.HasSuffix(strings.ToLower(path), "/"+strings.ToLower(name)):
			found = path
			return fs.SkipAll
		}
		return nil
	})
	if os.IsNotExist(err) {
		return "", nil
	}
	return found, err
}

func copyFile(source, target string) error {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close()
	return atomicfile.WriteFrom(target, 0o644, func(w io.Writer) error {
		_, err := io.Copy(w, in)
		return err
	})
}

// rootfsFinalize gives the image the sources it is to have in the field, and removes what only the build needed.
func rootfsFinalize(_ context.Context, c *isar.Call) error {
	t, err := tree(c)
	if err != nil {
		return err
	}
	lists, err := c.Words("IMAGE_LISTS")
	if err != nil {
		return err
	}
	if len(lists) > 0 {
		work, err := c.Value("WORKDIR")
		if err != nil {
			return err
		}
		if err := emptyIn(t, "/etc/apt/sources.list.d"); err != nil {
			return err
		}
		for _, name := range lists {
			text, err := os.ReadFile(filepath.Join(work, name))
			if err != nil {
				return err
			}
			if err := writeFile(t, "/etc/apt/sources.list.d/"+filepath.Base(name), string(text)); err != nil {
				return err
			}
		}
	}
	for _, name := range []string{"/run/blkid/blkid.tab", "/run/blkid/blkid.tab.old"} {
		if err := removeIn(t, name); err != nil {
			return err
		}
	}
	return nil
}
