package rootfs

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"n3x/internal/debian"
	"n3x/internal/sandbox"
)

// Twins are programs of this machine that stand in for those of a foreign root filesystem that would run in an emulator for
// minutes. Each is used only where the root filesystem has the same version of its package, so that it gives the same files.
type Twins struct {
	Root     string            // a root filesystem of this machine, e.g. a tools tree; "" is none
	Versions map[string]string // of the packages in it, e.g. "kmod": "34.2-2"
}

// twinPrograms are the programs that may have twins, by package: what they do depends neither on the processor nor on the
// programs of the root filesystem. Missing on purpose: what tells the architecture (uname, dpkg), asks for users (id), preloads
// libraries (stdbuf), or whose name may mean another program (awk).
var twinPrograms = map[string][]string{
	"coreutils": {"basename", "cat", "chgrp", "chmod", "chown", "cksum", "comm", "cp", "cut", "date", "dd", "dirname", "expr", "head", "install", "link",
		"ln", "ls", "md5sum", "mkdir", "mktemp", "mv", "paste", "readlink", "realpath", "rm", "rmdir", "seq", "sha1sum", "sha256sum", "sleep", "sort",
		"stat", "tail", "tee", "touch", "tr", "truncate", "uniq", "wc"},
	"cpio": {"cpio"}, "dpkg": {"dpkg-deb", "dpkg-split"}, "dracut-install": {dracutInstall}, "findutils": {"find", "xargs"}, "grep": {"grep"},
	"gzip": {"gzip"}, "kmod": {"depmod"}, "lz4": {"lz4"}, "sed": {"sed"}, "tar": {"tar"}, "xz-utils": {"xz"}, "zstd": {"zstd"},
}

// dracutInstall copies modules into an initramfs; it is called by its full path.
const dracutInstall = "dracut-install"

// TwinPackages are the packages that the root of [Twins] should have, sorted: those of the programs, and a shell without libraries
// that starts them.
func TwinPackages() []string {
	names := append(slices.Collect(maps.Keys(twinPrograms)), "busybox-static")
	slices.Sort(names)
	return names
}

const (
	twinsDir    = "/run/.n3x-twins"
	twinsBinDir = "/run/.n3x-twins-bin"
)

// binNMU is the end of a version that tells rebuilds of one source apart.
var binNMU = regexp.MustCompile(`\+b[0-9]+$`)

// usable are the programs that have a twin of the version that packages have, with their paths in the twins' root.
func (t Twins) usable(packages []*debian.Package) map[string]string {
	found := make(map[string]string)
	if t.Root == "" {
		return found
	}
	if t.state(packages, "libc6") != sameVersion {
		return found
	}
	for name, programs := range twinPrograms {
		if t.state(packages, name) != sameVersion {
			continue
		}
		for _, program := range programs {
			for _, dir := range []string{"usr/sbin", "usr/bin", "usr/lib/dracut"} {
				if _, err := os.Stat(filepath.Join(t.Root, dir, program)); err == nil {
					found[program] = dir + "/" + program
				}
			}
		}
	}
	return found
}

// state tells whether the root filesystem has one package name, of the version that the twins have.
func (t Twins) state(packages []*debian.Package, name string) versionState {
	state := noVersion
	for _, p := range packages {
		if p.Name != name {
			continue
		}
		if binNMU.ReplaceAllString(string(p.Version), "") != binNMU.ReplaceAllString(t.Versions[name], "") {
			return otherVersion
		}
		state = sameVersion
	}
	return state
}

type versionState int

const (
	noVersion versionState = iota
	sameVersion
	otherVersion // perhaps besides the same one, which an upgrade replaces
)

// loader is the dynamic loader in the twins' root, and where its libraries are.
func (t Twins) loader() (loader, libraries string, err error) {
	for _, pattern := range []string{"usr/lib64/ld-linux-*.so.*", "usr/lib/ld-linux-*.so.*"} {
		if list, _ := filepath.Glob(filepath.Join(t.Root, pattern)); len(list) == 1 {
			loader = list[0][len(t.Root):]
		}
	}
	list, _ := filepath.Glob(filepath.Join(t.Root, "usr/lib/*-linux-gnu*"))
	if loader == "" || len(list) != 1 {
		return "", "", fmt.Errorf("%s has no dynamic loader", t.Root)
	}
	return loader, list[0][len(t.Root):], nil
}

// mounts fills dir with scripts that start the twins, and shows these and the twins in a sandbox. A loader that is called by its path
// needs nothing of the root filesystem that the sandbox has.
func (t Twins) mounts(dir string, usable map[string]string) ([]sandbox.Mount, error) {
	loader, libraries, err := t.loader()
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	var errs []error
	for program, file := range usable {
		script := fmt.Sprintf("#!%[1]s/usr/bin/busybox sh\nexec %[1]s%[2]s --library-path %[1]s%[3]s --argv0 %[4]s %[1]s/%[5]s \"$@\"\n", twinsDir, loader, libraries, program, file)
		errs = append(errs, os.WriteFile(filepath.Join(dir, program), []byte(script), 0o755))
	}
	return []sandbox.Mount{{Type: sandbox.BindRO, Source: t.Root, Target: twinsDir}, {Type: sandbox.BindRO, Source: dir, Target: twinsBinDir}}, errors.Join(errs...)
}

// pathLine is how mkinitramfs sets the PATH of itself and its hooks.
var pathLine = regexp.MustCompile(`(?m)^export PATH='([^']*)'$`)

// Initramfs is what lets mkinitramfs of a root filesystem use twins: a copy of it, written to dir, with another PATH. A hook that
// asks where a program is may copy it into the initramfs, and must find the real one: then there are no twins.
func (t Twins) Initramfs(dir string, stack Stack) ([]sandbox.Mount, error) {
	script, err := stack.ReadFile("usr/sbin/mkinitramfs")
	if t.Root == "" || err != nil || len(pathLine.FindAll(script, -1)) != 1 {
		return nil, nil // another generator
	}
	packages, err := installed(stack)
	if err != nil {
		return nil, err
	}
	usable := t.usable(packages)
	for _, hooks := range []string{"etc/initramfs-tools/hooks", "usr/share/initramfs-tools/hooks"} {
		names, _ := stack.ReadDir(hooks)
		for _, name := range names {
			if text, _ := stack.ReadFile(hooks + "/" + name); asks(string(text)) {
				return nil, nil
			}
		}
	}
	if len(usable) == 0 {
		return nil, nil
	}
	mounts, err := t.mounts(filepath.Join(dir, "bin"), usable)
	if err != nil {
		return nil, err
	}
	copied := filepath.Join(dir, "mkinitramfs")
	if err := os.WriteFile(copied, pathLine.ReplaceAll(script, []byte("export PATH='"+twinsBinDir+":$1'")), 0o755); err != nil {
		return nil, err
	}
	mounts = append(mounts, sandbox.Mount{Type: sandbox.BindRO, Source: copied, Target: "/usr/sbin/mkinitramfs"})
	if usable[dracutInstall] != "" {
		mounts = append(mounts, sandbox.Mount{Type: sandbox.BindRO, Source: filepath.Join(dir, "bin", dracutInstall), Target: "/usr/lib/dracut/" + dracutInstall})
	}
	return mounts, nil
}

// whereIs is how shell scripts ask for a program's path.
var whereIs = regexp.MustCompile(`(?m)^[^#\n]*\b(command -[vV]|which|type -[pP]|hash) .*$`)

// asks reports whether a hook asks for the path of a program that may have a twin.
func asks(hook string) bool {
	for _, line := range whereIs.FindAllString(hook, -1) {
		if !strings.Contains(line, "fsck.") { // Debian's own hook
			return true
		}
	}
	return false
}
