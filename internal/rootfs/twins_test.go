package rootfs

import (
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
	twins := Twins{Root: root, Versions: map[string]string{"kmod": "34.2-2", "xz-utils": "5.8.1-1+b2", "gzip": "1.13-1", "zstd": "1.5"}}
	packages := func(list ...string) (out []*debian.Package) {
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
	root := twinRoot(t, "usr/bin/gzip", "usr/bin/xz", "usr/sbin/depmod", "usr/lib64/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu/libc.so.6")
	twins := Twins{Root: root, Versions: map[string]string{"gzip": "1", "xz-utils": "1", "kmod": "1"}}
	stack := t.TempDir()
	for name, text := range map[string]string{
		"usr/sbin/mkinitramfs": "#!/bin/sh\nexport PATH='/usr/bin:/sbin:/bin'\nmake\n",
		"var/lib/dpkg/status": "Package: gzip\nStatus: install ok installed\nArchitecture: arm64\nVersion: 1\n\n" +
			"Package: xz-utils\nStatus: install ok installed\nArchitecture: arm64\nVersion: 1\n\nPackage: kmod\nStatus: install ok installed\nArchitecture: arm64\nVersion: 2\n\n",
		"etc/initramfs-tools/hooks/own": "# no gzip here\ncopy_exec \"$(command -v xz)\" /bin\n",
	} {
		must(t, os.MkdirAll(filepath.Join(stack, filepath.Dir(name)), 0o755))
		must(t, os.WriteFile(filepath.Join(stack, name), []byte(text), 0o644))
	}
	dir := t.TempDir()
	mounts, err := twins.Initramfs(dir, Stack{stack})
	if err != nil || len(mounts) != 3 {
		t.Fatalf("%v, %v", mounts, err)
	}
	names, _ := filepath.Glob(filepath.Join(dir, "bin/*"))
	if len(names) != 1 || filepath.Base(names[0]) != "gzip" {
		t.Errorf("twins of %v, want gzip: a hook takes xz, and kmod is another version", names)
	}
	want := "#!/bin/sh\nexec /run/.n3x-twins/usr/lib64/ld-linux-x86-64.so.2 --library-path /run/.n3x-twins/usr/lib/x86_64-linux-gnu --argv0 gzip /run/.n3x-twins/usr/bin/gzip \"$@\"\n"
	if got := string(must1(os.ReadFile(names[0]))); got != want {
		t.Errorf("%q", got)
	}
	if got := string(must1(os.ReadFile(mounts[2].Source))); got != "#!/bin/sh\nexport PATH='/run/.n3x-twins-bin:/usr/bin:/sbin:/bin'\nmake\n" {
		t.Errorf("mkinitramfs %q", got)
	}

	must(t, os.WriteFile(filepath.Join(stack, "usr/sbin/mkinitramfs"), []byte("#!/bin/sh\n"), 0o755))
	if mounts, err := twins.Initramfs(t.TempDir(), Stack{stack}); mounts != nil || err != nil {
		t.Errorf("an unknown mkinitramfs: %v, %v", mounts, err)
	}
}
