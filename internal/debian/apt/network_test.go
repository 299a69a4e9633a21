package apt

import (
	"context"
	"os"
	"runtime"
	"testing"
	"time"

	"n3x/internal/arch"
	"n3x/internal/debian"
)

const trixieList = `deb http://deb.debian.org/debian trixie main
deb http://deb.debian.org/debian trixie-updates main
deb http://deb.debian.org/debian-security trixie-security main
`

// TestNetworkTrixie talks to Debian's real archive: N3X_TEST_NETWORK=1 go test -run Network -v.
func TestNetworkTrixie(t *testing.T) {
	if os.Getenv("N3X_TEST_NETWORK") == "" {
		t.Skip("set N3X_TEST_NETWORK=1 to talk to deb.debian.org")
	}
	sources, err := ParseSources("trixie.list", []byte(trixieList))
	if err != nil {
		t.Fatal(err)
	}
	keys, _ := DebianKeyring("debian-archive-keyring.gpg")
	o := Options{Sources: sources, Keyrings: [][]byte{keys}, Arches: []arch.Arch{"amd64"}, DownloadDir: t.TempDir(), Pool: "debian-trixie"}
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	start := time.Now()
	cold, err := c.Update(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("cold update: %v, %d packages", time.Since(start).Round(time.Millisecond), len(cold.Packages))
	if len(cold.Packages) < 60000 || len(cold.Indices) != 3 {
		t.Errorf("%d packages in %d indices", len(cold.Packages), len(cold.Indices))
	}
	for range 2 {
		runtime.GC()
		start = time.Now()
		warm, err := c.Update(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("unchanged update: %v", time.Since(start).Round(time.Millisecond))
		if warm.Digest != cold.Digest {
			t.Errorf("digest changed from %s to %s", cold.Digest, warm.Digest)
		}
	}
	runtime.GC()
	start = time.Now()
	loaded, err := c.Load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("load: %v", time.Since(start).Round(time.Millisecond))
	p := loaded.Candidate("hello", "amd64")
	if p == nil {
		t.Fatal("no candidate for hello")
	}
	start = time.Now()
	for range 2 {
		paths, err := c.Fetch(ctx, []*debian.Package{p, p}, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("fetch: %v %v", time.Since(start).Round(time.Millisecond), paths)
	}
}
