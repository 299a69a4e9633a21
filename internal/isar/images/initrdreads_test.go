package images

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"n3x/internal/isar"
)

// TestWhatAnInitrdReads checks which files of an own package make another initrd, and which do not.
func TestWhatAnInitrdReads(t *testing.T) {
	t.Parallel()
	write := func(root, name, text string) {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tree := t.TempDir()
	write(tree, "usr/share/initramfs-tools/hooks/crypt", "cat /etc/crypttab; copy_exec /usr/bin/unlock\n. hook-functions\n")
	write(tree, "usr/sbin/mkinitramfs", "for h in hooks; do run; done # hostnames\n")
	write(tree, "etc/console/keys", "")
	r, err := readsOf(&isar.Tree{Dir: tree, Layers: []isar.Layer{{Dir: tree, Base: true}}})
	if err != nil {
		t.Fatal(err)
	}
	sum := func(name, text string) string {
		dir := t.TempDir()
		write(dir, name, text)
		h := sha256.New()
		if plain, err := digestLayer(h, dir, r); err != nil || !plain {
			t.Fatal(name, plain, err)
		}
		return hex.EncodeToString(h.Sum(nil))
	}
	for name, read := range map[string]bool{
		"etc/hostname": false, "etc/os-release": false, "etc/hosts": false, "etc/k3s/config": false, "usr/bin/k3s": false, "etc/systemd/system/a.service": false,
		"etc/systemd/network/1.network": false, "var/lib/dpkg/status": false, "usr/share/k3s/x": false,
		"etc/crypttab": true, "usr/bin/unlock": true, "etc/console/keys": true, "usr/lib/modules/1/a.ko": true, "etc/modprobe.d/a.conf": true,
		"usr/lib/libc.so": true, "etc/systemd/network/1.link": true, "etc/ld.so.preload": true,
	} {
		if changes := sum(name, "a") != sum(name, "b"); changes != read {
			t.Errorf("%s: a change of it makes another initrd: %v, want %v", name, changes, read)
		}
	}
}
