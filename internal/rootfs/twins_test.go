package rootfs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"n3x/internal/debian"
)

// twinRoot is a root of this machine with these files, which are empty.
func twinRoot(t *testing.T, files ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, f := range files {
		must(t, os.MkdirAll(filepath.Join(root, filepath.Dir(f)), 0o755))
		must(t, os.WriteFile(filepath.Join(root, f), nil, 0o755))
	}
	return root
}

func TestTwinsUsable(t *testing.T) {
	t.Parallel()
	root := twinRoot(t, "usr/sbin/depmod", "usr/bin/xz", "usr/bin/gzip")
	twins := Twins{Root: root, Versions: map[string]string{"libc6": "2.41-1", "kmod": "34.2-2", "xz-utils": "5.8.1-1+b2", "gzip": "1.13-1", "zstd": "1.5"}}
	packages := func(list ...string) (out []*debian.Package) {
		if len(list) > 0 && !strings.HasPrefix(list[0], "libc6=") {
			list = append(list, "libc6=2.41-1")
		}
		for _, l := range list {
			name, version, _ := strings.Cut(l, "=")
			out = append(out, &debian.Package{Name: name, Version: debian.Version(version), Architecture: "arm64"})
		}
		return out
	}
	for _, tt := range []struct {
		have []*debian.Package
		want map[string]string
	}{
		{packages("kmod=34.2-2", "dash=1"), map[string]string{"depmod": "usr/sbin/depmod"}},
		{packages("kmod=30-1", "xz-utils=5.8.1-1"), map[string]string{"xz": "usr/bin/xz"}}, // a rebuild of the same source
		{packages("kmod=34.2-2", "kmod=30-1"), nil},                                        // before and after an upgrade
		{packages("zstd=1.5"), nil},                                                        // not in the tree
		{packages("libc6=2.36-1", "gzip=1.13-1"), nil},                                     // another C library
		{nil, nil},
	} {
		if diff := cmp.Diff(tt.want, twins.usable(tt.have), cmp.Transformer("nil", func(m map[string]string) map[string]string {
			if len(m) == 0 {
				return nil
			}
			return m
		})); diff != "" {
			t.Errorf("%v: %s", tt.have, diff)
		}
	}
	if got := (Twins{}).usable(packages("kmod=34.2-2")); len(got) != 0 {
		t.Errorf("without a tree: %v", got)
	}
}

func TestTwinsInitramfs(t *testing.T) {
	t.Parallel()
	root := twinRoot(t, "usr/bin/gzip", "usr/sbin/depmod", "usr/lib/dracut/dracut-install", "usr/lib64/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu/libc.so.6")
	twins := Twins{Root: root, Versions: map[string]string{"libc6": "1", "gzip": "1", "kmod": "1", "dracut-install": "1"}}
	stack := t.TempDir()
	write := func(name, text string) {
		must(t, os.MkdirAll(filepath.Join(stack, filepath.Dir(name)), 0o755))
		must(t, os.WriteFile(filepath.Join(stack, name), []byte(text), 0o644))
	}
	var status strings.Builder
	for _, p := range []string{"libc6 1", "gzip 1", "kmod 2", "dracut-install 1"} {
		name, version, _ := strings.Cut(p, " ")
		fmt.Fprintf(&status, "Package: %s\nStatus: install ok installed\nArchitecture: arm64\nVersion: %s\n\n", name, version)
	}
	write("var/lib/dpkg/status", status.String())
	write("usr/sbin/mkinitramfs", "#!/bin/sh\nexport PATH='/usr/bin:/sbin:/bin'\nmake\n")
	write("usr/share/initramfs-tools/hooks/fsck", "if prog=\"$(command -v \"fsck.${type}\")\"; then copy_exec \"$prog\"; fi\n")
	write("etc/initramfs-tools/hooks/own", "# which programs?\ncopy_exec /usr/bin/sort /bin\n")
	dir := t.TempDir()
	mounts, err := twins.Initramfs(dir, Stack{stack})
	if err != nil || len(mounts) != 4 || mounts[3].Target != "/usr/lib/dracut/dracut-install" {
		t.Fatalf("%v, %v", mounts, err)
	}
	names, _ := filepath.Glob(filepath.Join(dir, "bin/*"))
	if len(names) != 2 || filepath.Base(names[1]) != "gzip" {
		t.Errorf("twins %v, want those of the same version", names)
	}
	want := "#!/run/.n3x-twins/usr/bin/busybox sh\nexec /run/.n3x-twins/usr/lib64/ld-linux-x86-64.so.2 --library-path /run/.n3x-twins/usr/lib/x86_64-linux-gnu --argv0 gzip /run/.n3x-twins/usr/bin/gzip \"$@\"\n"
	if got := string(must1(os.ReadFile(names[1]))); got != want {
		t.Errorf("%q", got)
	}
	if got := string(must1(os.ReadFile(mounts[2].Source))); got != "#!/bin/sh\nexport PATH='/run/.n3x-twins-bin:/usr/bin:/sbin:/bin'\nmake\n" {
		t.Errorf("mkinitramfs %q", got)
	}

	write("etc/initramfs-tools/hooks/own", "for p in sort tr; do copy_exec \"$(command -v $p)\"; done\n")
	if mounts, err := twins.Initramfs(t.TempDir(), Stack{stack}); mounts != nil || err != nil {
		t.Errorf("a hook that asks for programs: %v, %v", mounts, err)
	}
	write("etc/initramfs-tools/hooks/own", "")
	write("usr/sbin/mkinitramfs", "#!/bin/sh\n")
	if mounts, err := twins.Initramfs(t.TempDir(), Stack{stack}); mounts != nil || err != nil {
		t.Errorf("an unknown mkinitramfs: %v, %v", mounts, err)
	}
}
