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

// twinPackages are the programs that may have twins, and their packages: what they do depends neither on the processor nor on
// other programs.
var twinPackages = map[string]string{"depmod": "kmod", "gzip": "gzip", "lz4": "lz4", "xz": "xz-utils", "zstd": "zstd"}

// TwinPackages are the packages that the root of [Twins] should have, sorted.
func TwinPackages() []string { return slices.Sorted(maps.Values(twinPackages)) }

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
	same := func(a, b string) bool { return binNMU.ReplaceAllString(a, "") == binNMU.ReplaceAllString(b, "") }
	for program, name := range twinPackages {
		here, other := false, false
		for _, p := range packages {
			if p.Name == name {
				here, other = true, other || !same(string(p.Version), t.Versions[name])
			}
		}
		for _, dir := range []string{"usr/sbin", "usr/bin"} {
			if _, err := os.Stat(filepath.Join(t.Root, dir, program)); err == nil && here && !other {
				found[program] = dir + "/" + program
			}
		}
	}
	return found
}

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
		script := fmt.Sprintf("#!/bin/sh\nexec %[1]s%[2]s --library-path %[1]s%[3]s --argv0 %[4]s %[1]s/%[5]s \"$@\"\n", twinsDir, loader, libraries, program, file)
		errs = append(errs, os.WriteFile(filepath.Join(dir, program), []byte(script), 0o755))
	}
	return []sandbox.Mount{{Type: sandbox.BindRO, Source: t.Root, Target: twinsDir}, {Type: sandbox.BindRO, Source: dir, Target: twinsBinDir}}, errors.Join(errs...)
}

// pathLine is how mkinitramfs sets the PATH of itself and its hooks.
var pathLine = regexp.MustCompile(`(?m)^export PATH='([^']*)'$`)

// Initramfs is what lets mkinitramfs of a root filesystem use twins: a copy of it, written to dir, with another PATH. A hook that
// copies such a program into the initramfs must find the real one; then there is no twin.
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
			text, _ := stack.ReadFile(hooks + "/" + name)
			maps.DeleteFunc(usable, func(program, _ string) bool { return takes(string(text), program) })
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
	return append(mounts, sandbox.Mount{Type: sandbox.BindRO, Source: copied, Target: "/usr/sbin/mkinitramfs"}), nil
}

// takes reports whether a hook's text may copy the program or ask where it is.
func takes(hook, program string) bool {
	for line := range strings.Lines(hook) {
		if (strings.Contains(line, "copy") || strings.Contains(line, "command ") || strings.Contains(line, "which ") || strings.Contains(line, "cp ")) && strings.Contains(line, program) {
			return true
		}
	}
	return false
}
