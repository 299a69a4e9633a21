package rootfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"n3x/internal/debian"
)

// finish removes from the draft what the scripts have left of this moment and this machine.
func (i *installer) finish(began time.Time) error {
	if err := i.machineID(); err != nil {
		return err
	}
	if err := errors.Join(i.shadowDates(began), i.forgetExcluded()); err != nil {
		return err
	}
	return scrub(i.draft.Root, i.owned)
}

// ofTheMoment are the files that hold the time of day or random numbers, or are copies of what was a moment ago; all of them
// are made again when they are missed. Directories stand for the files below them that no package owns.
var ofTheMoment = []string{
	"etc/ssh/ssh_host_*_key", "etc/ssh/ssh_host_*_key.pub",
	"run/", "tmp/", "var/tmp/",
	"var/cache/debconf/*.dat-old",
	"var/cache/ldconfig/aux-cache", // inode numbers and times
	"var/cache/man/",
	"var/lib/dbus/machine-id",
	"var/lib/dpkg/*-old",
	"var/lib/systemd/credential.secret", "var/lib/systemd/random-seed",
	"var/log/alternatives.log", "var/log/apt/", "var/log/bootstrap.log", "var/log/dpkg.log", "var/log/journal/",
}

// scrub removes the files [ofTheMoment] from a layer. owned tells what belongs to a package.
func scrub(root string, owned func(name string) bool) error {
	for _, pattern := range ofTheMoment {
		if dir, ok := strings.CutSuffix(pattern, "/"); ok {
			if err := empty(root, dir, owned); err != nil {
				return err
			}
			continue
		}
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return err
		}
		for _, f := range files {
			if info, err := os.Lstat(f); err != nil || !info.Mode().IsRegular() {
				continue // a link, as Debian 13 has for D-Bus, or a whiteout
			}
			if err := os.Remove(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// empty removes what is below dir in a layer and belongs to no package.
func empty(root, dir string, owned func(name string) bool) error {
	entries, err := os.ReadDir(filepath.Join(root, dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if info, err := e.Info(); err != nil || isWhiteout(info) {
			continue
		}
		if e.IsDir() {
			if err := empty(root, name, owned); err != nil {
				return err
			}
		}
		if owned(name) {
			continue
		}
		if err := os.Remove(filepath.Join(root, name)); err != nil && !(e.IsDir() && errors.Is(err, fs.ErrExist)) {
			return err // a directory that holds something owned stays
		}
	}
	return nil
}

// owned reports whether the file name belongs to a package.
func (i *installer) owned(name string) bool {
	if i.files == nil {
		i.files = i.draft.Stack().PackageFiles()
	}
	return i.files["/"+name]
}

// PackageFiles is all paths that belong to packages, e.g. "/etc/hosts.allow".
func (s Stack) PackageFiles() map[string]bool {
	files := make(map[string]bool)
	const info = "var/lib/dpkg/info"
	names, _ := s.ReadDir(info)
	for _, name := range names {
		if !strings.HasSuffix(name, ".list") {
			continue
		}
		list, _ := s.ReadFile(info + "/" + name)
		for line := range strings.Lines(string(list)) {
			files[strings.TrimSuffix(line, "\n")] = true
		}
	}
	return files
}

// machineID puts the machine-id back to what makes systemd choose a new one at first boot (machine-id(5)). Up to version 246
// it only knows the empty file for that.
func (i *installer) machineID() error {
	p := filepath.Join(i.draft.Root, "etc/machine-id")
	if info, err := os.Lstat(p); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	list, err := i.draft.Stack().Installed()
	if err != nil {
		return err
	}
	text := "uninitialized\n"
	for _, c := range list {
		if c.Name == "systemd" && c.Version.Compare(debian.Version("247~")) < 0 {
			text = ""
		}
	}
	return writeFile(p, text)
}
