package images

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"n3x/internal/isar"
)

// generatorFiles are the programs of initramfs-tools and their hooks, below a root file system.
var generatorFiles = []string{"usr/sbin/mkinitramfs", "usr/sbin/update-initramfs", "usr/share/initramfs-tools/hook-functions", "usr/share/initramfs-tools/hooks/*",
	"usr/share/initramfs-tools/conf-hooks.d/*", "usr/share/initramfs-tools/conf.d/*", "etc/initramfs-tools/*", "etc/initramfs-tools/hooks/*", "etc/initramfs-tools/conf.d/*"}

// reads says what initramfs-tools may read of a tree whose lower layers are those of Debian's packages.
type reads struct {
	base []string // these layers' folders
	text string   // of generator and hooks
}

func readsOf(t *isar.Tree) (*reads, error) {
	r := &reads{}
	for _, l := range t.Layers {
		if l.Base {
			r.base = append(r.base, l.Dir)
		}
	}
	var b strings.Builder
	for _, pattern := range generatorFiles {
		files, err := filepath.Glob(filepath.Join(t.Dir, pattern))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if st, err := os.Stat(file); err != nil || !st.Mode().IsRegular() {
				continue
			}
			data, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			b.Write(data)
		}
	}
	r.text = b.String()
	return r, nil
}

// names reports whether generator or hooks contain a word.
func (r *reads) names(word string) bool {
	if !strings.Contains(r.text, word) {
		return false // nearly always
	}
	return regexp.MustCompile(`(^|[^A-Za-z0-9_])` + regexp.QuoteMeta(word) + `($|[^A-Za-z0-9_])`).MatchString(r.text)
}

// units are what systemd alone reads, which is no part of initramfs-tools' initrd.
var units = []string{"etc/systemd/system", "usr/lib/systemd/system", "var/lib/systemd"}

// additions are the folders whose entries, when no package of Debian brought them, are read only by who names them.
var additions = []string{"etc", "usr/bin", "usr/share", "var/lib"}

// indirect are entries of /etc that programs read which hooks call.
var indirect = []string{"modprobe.d", "modules", "modules-load.d", "udev", "systemd", "default", "console-setup", "fstab", "crypttab"}

// skips reports whether name, which a layer above Debian's packages has, is not read: it belongs to systemd or is something new,
// and no hook names it.
func (r *reads) skips(name string) bool {
	if name == "etc/hosts" || name == "etc/os-release" {
		return !r.names(filepath.Base(name))
	}
	for _, dir := range units {
		if strings.HasPrefix(name, dir+"/") {
			return !r.names(filepath.Base(name))
		}
	}
	for _, dir := range additions {
		rest, below := strings.CutPrefix(name, dir+"/")
		if !below {
			continue
		}
		first, _, _ := strings.Cut(rest, "/")
		return !slices.Contains(indirect, first) && !strings.HasPrefix(first, "ld.so") && !r.names(first) && !slices.ContainsFunc(r.base, func(layer string) bool {
			_, err := os.Lstat(filepath.Join(layer, dir, first))
			return err == nil
		})
	}
	return false
}
