package tools

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"n3x/internal/arch"
	"n3x/internal/debian/apt"
)

// TestNetworkRun makes a tools tree from Debian's real archive and runs programs of it.
func TestNetworkRun(t *testing.T) {
	if os.Getenv("N3X_TEST_NETWORK") == "" {
		t.Skip("set N3X_TEST_NETWORK=1 to talk to deb.debian.org")
	}
	sources, err := apt.ParseSources("tools.list", []byte("deb http://deb.debian.org/debian trixie main\n"))
	if err != nil {
		t.Fatal(err)
	}
	keys, _ := apt.DebianKeyring("debian-archive-keyring.gpg")
	dl := os.Getenv("N3X_TEST_DL_DIR")
	if dl == "" {
		dl = t.TempDir()
	}
	dir := t.TempDir()
	open := func() *Provider {
		c, err := apt.Open(apt.Options{
			Sources: sources, Keyrings: [][]byte{keys}, Arches: []arch.Arch{arch.Host()}, DownloadDir: dl, Pool: "debian-trixie",
		})
		if err != nil {
			t.Fatal(err)
		}
		p, err := New(Options{Client: c, Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	packages := []string{"e2fsprogs", "mtools", "dosfstools", "fdisk", "xz-utils", "cpio", "ca-certificates"}
	ctx := context.Background()
	var layers []string
	for _, what := range []string{"cold", "cached"} {
		start := time.Now()
		p := open()
		if layers, err = p.Layers(ctx, packages...); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %v", what, time.Since(start).Round(time.Microsecond*100))
	}
	for line, want := range map[string]string{
		"mke2fs -V 2>&1":                                        "mke2fs 1.",
		"echo a b | awk '{print $2}'":                           "b",
		"sh -c 'readlink /proc/$$/exe'":                         "/dash",
		"perl -e 'print 6*7'":                                   "42",
		"mformat --version":                                     "mtools",
		"ls -ln /usr/bin/passwd /bin/su | cut -c1-10 | sort -u": "-rwsr-xr-x",
		"getent passwd root":                                    "root:",
		"grep -c BEGIN /etc/ssl/certs/ca-certificates.crt":      "1",
		"touch /usr/bin/x && ls /usr/bin/x":                     "/usr/bin/x",
	} {
		cmd, cleanup, err := open().Command(layers, "sh", "-c", line)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(ctx); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("%s: %v, output %q, want %q", line, err, out.String(), want)
		}
		cleanup()
	}
	if _, err := os.Lstat(filepath.Join(layers[0], "usr/bin/x")); err == nil {
		t.Error("a program changed the tree")
	}
	start := time.Now()
	more, err := open().Layers(ctx, append(packages, "mmdebstrap")...)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("one package more: %v %v", time.Since(start).Round(time.Millisecond), more)
	if _, err := open().Layers(ctx, "no-such-package"); err == nil || !strings.Contains(err.Error(), "no-such-package") {
		t.Errorf("unknown package: %v", err)
	}
}
