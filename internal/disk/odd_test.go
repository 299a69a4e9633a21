// SPDX-License-Identifier: MIT

package disk_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"n3x/internal/disk"
)

// TestOddFiles packs files with unusual names and attributes and lets debugfs look for them in the image.
func TestOddFiles(t *testing.T) {
	tools := treeRunner{toolsTree(t)}
	dir := t.TempDir()
	names := []string{"Főtanúsítvány.crt", "latin\xe9", "sp ace", "=eq", "-dash", strings.Repeat("n", 255), strings.Repeat("é", 127)}
	for _, n := range names {
		if err := os.WriteFile(filepath.Join(dir, n), []byte(n), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	acl := []byte{2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 232, 3, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255,
		16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255}
	for _, err := range []error{
		os.Symlink("targ\xe9t Főt", filepath.Join(dir, "link\xe9")),
		os.Link(filepath.Join(dir, "latin\xe9"), filepath.Join(dir, "hard\xff")),
		unix.Lsetxattr(filepath.Join(dir, "sp ace"), "user.plain", []byte("v\xff\x00v"), 0),
		unix.Lsetxattr(filepath.Join(dir, "=eq"), "system.posix_acl_access", acl, 0),
		unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600),
		os.Mkdir(filepath.Join(dir, "dir"), 0o755),
		unix.Lsetxattr(filepath.Join(dir, "dir"), "user.dir", []byte("x"), 0),
		os.Chmod(filepath.Join(dir, "dir"), os.ModeSetgid|0o775),
		os.Chmod(dir, 0o750),
		unix.Utimes(filepath.Join(dir, "fifo"), []unix.Timeval{{Sec: 1000000000}, {Sec: 1000000000}}),
	} {
		if err != nil {
			t.Skipf("this file system lacks something: %v", err)
		}
	}
	f, err := os.Create(filepath.Join(dir, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("x"), 20<<20); err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	o := disk.ImageOptions{Type: "ext4", Rootfs: dir, Output: filepath.Join(t.TempDir(), "x.ext4"), Epoch: epoch, SizeKiB: 16 << 10, Runner: tools}
	if err := disk.WriteImage(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	tools.check(t, "e2fsck", "-fn", o.Output)
	ask := func(request string, want ...string) {
		t.Helper()
		got := strings.Join(strings.Fields(tools.check(t, "debugfs", "-R", request, o.Output)), " ")
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: %q lacks %q", request, got, w)
			}
		}
	}
	for _, n := range names {
		ask(`stat "`+n+`"`, "Type: regular", "mtime: 0x6553f100:00000000")
	}
	ask(`cat "sp ace"`, "sp ace")
	ask("stat hard\xff", "Links: 2")
	ask("stat link\xe9", "targ\xe9t Főt")
	ask("ea_get \"sp ace\" user.plain", "= 76 ff 00 76")
	ask("ea_list =eq", "system.posix_acl_access (")
	ask("ea_list dir", "user.dir")
	ask("stat dir", "Mode: 02775")
	ask("stat fifo", "Type: FIFO", "mtime: 0x3b9aca00:00000000", "atime: 0x6553f100:00000000", "crtime: 0x6553f100:00000000")
	ask("stat /", "Mode: 0750")
	ask("stat sparse", "Blockcount: 2 ")
}
