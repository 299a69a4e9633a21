package tools

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// links are what update-alternatives would have made for programs that a build calls by a name that no package ships.
// Each is made when its target is there and nothing has its name. (Libraries need nothing: the dynamic loader searches
// the multiarch folders without ldconfig's cache.)
var links = []struct{ name, target string }{
	{"usr/bin/sh", "dash"},
	{"usr/bin/awk", "mawk"},
	{"usr/bin/awk", "gawk"},
	{"usr/bin/nawk", "mawk"},
	{"usr/bin/which", "which.debianutils"},
	{"usr/bin/pager", "more"},
	{"usr/bin/editor", "vim.tiny"},
	{"usr/bin/vi", "vim.tiny"},
	{"usr/bin/nc", "nc.openbsd"},
	{"usr/bin/cc", "gcc"},
	{"usr/bin/c89", "c89-gcc"},
	{"usr/bin/c99", "c99-gcc"},
	{"usr/bin/c++", "g++"},
	{"usr/bin/fakeroot", "fakeroot-sysv"},
	{"usr/bin/faked", "faked-sysv"},
	{"usr/bin/lzma", "xz"},
	{"usr/bin/unlzma", "xz"},
	{"usr/sbin/iptables", "iptables-nft"},
	{"usr/sbin/ip6tables", "ip6tables-nft"},
	{"usr/bin/automake", "automake-1.17"},
	{"usr/bin/aclocal", "aclocal-1.17"},
}

// copies are files that maintainer scripts put into /etc from where their package ships them.
var copies = []struct{ name, source string }{
	{"etc/passwd", "usr/share/base-passwd/passwd.master"},
	{"etc/group", "usr/share/base-passwd/group.master"},
	{"etc/nsswitch.conf", "usr/share/libc-bin/nsswitch.conf"},
	{"etc/profile", "usr/share/base-files/profile"},
}

// finish makes the files that configuring the packages would have made and that programs need.
func finish(root string) error {
	for _, l := range links {
		name := filepath.Join(root, l.name)
		if !exists(filepath.Join(filepath.Dir(name), l.target)) || exists(name) {
			continue
		}
		if err := os.Symlink(l.target, name); err != nil {
			return err
		}
	}
	for _, c := range copies {
		data, err := os.ReadFile(filepath.Join(root, c.source))
		if errors.Is(err, fs.ErrNotExist) || exists(filepath.Join(root, c.name)) {
			continue
		}
		if err == nil {
			err = writeFile(filepath.Join(root, c.name), data)
		}
		if err != nil {
			return err
		}
	}
	// dpkg's programs want a database, though an empty one does.
	if dir := filepath.Join(root, "var/lib/dpkg"); exists(dir) && !exists(filepath.Join(dir, "status")) {
		if err := writeFile(filepath.Join(dir, "status"), nil); err != nil {
			return err
		}
	}
	return certificates(root)
}

// certificates does what update-ca-certificates(8) does: all certificates of the package in one file, sorted by name.
func certificates(root string) error {
	source := filepath.Join(root, "usr/share/ca-certificates")
	var files []string
	err := filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && filepath.Ext(path) == ".crt" {
			files = append(files, path)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(files) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	slices.Sort(files)
	var all bytes.Buffer
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		all.Write(bytes.TrimRight(data, "\n"))
		all.WriteByte('\n')
	}
	return writeFile(filepath.Join(root, "etc/ssl/certs/ca-certificates.crt"), all.Bytes())
}

// writeFile makes a new file; it never writes into one that is linked to the cache of packages.
func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
