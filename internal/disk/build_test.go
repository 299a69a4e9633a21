// SPDX-License-Identifier: MIT

package disk_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"n3x/internal/bootloader"
	"n3x/internal/diag"
	"n3x/internal/disk"
	"n3x/internal/disk/wks"
)

const epoch = 1700000000

// rootfs makes a small root file system whose accidental properties depend on salt.
func rootfs(t testing.TB, salt int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), fmt.Sprintf("root%d", salt))
	write := func(name string, size int) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(i*7 + i>>9 + len(name))
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		later := time.Unix(epoch+1000+int64(salt), int64(salt))
		if err := os.Chtimes(path, later, later); err != nil {
			t.Fatal(err)
		}
	}
	names := []string{"boot/vmlinuz-6.1.0-1-amd64", "boot/initrd.img-6.1.0-1-amd64", "usr/share/x/data", "home/user/hello", "usr/bin/tool", "boot/grub/grubenv"}
	sizes := []int{3000000, 5000000, 4000000, 3, 70000, 1024}
	for i := range names {
		j := (i + salt) % len(names) // another order of creation gives other inode numbers and folder orders
		write(names[j], sizes[j])
	}
	for _, d := range []string{"etc", "dev", "proc", "sys", "tmp", "var/lib"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{
		os.WriteFile(filepath.Join(dir, "etc/fstab"), []byte("# /etc/fstab\n"), 0o644),
		os.Symlink("boot/vmlinuz-6.1.0-1-amd64", filepath.Join(dir, "vmlinuz")),
		os.Symlink("boot/initrd.img-6.1.0-1-amd64", filepath.Join(dir, "initrd.img")),
		os.Link(filepath.Join(dir, "usr/bin/tool"), filepath.Join(dir, "usr/bin/alias")),
		os.Chmod(filepath.Join(dir, "tmp"), os.ModeSticky|0o777),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// options are those of an image with the given layout.
func options(t testing.TB, layout string, salt int) disk.Options {
	t.Helper()
	dir := t.TempDir()
	deploy, work := filepath.Join(dir, "deploy"), filepath.Join(dir, "work")
	for _, d := range []string{deploy, work} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(deploy, "blob"), []byte("firmware"), 0o644); err != nil {
		t.Fatal(err)
	}
	root := rootfs(t, salt)
	vars := map[string]string{"IMAGE_ROOTFS": root, "MACHINE": "qemuamd64", "ROOTFS_SIZE": "12000"}
	lookup := func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
	file, err := wks.Parse("test.wks", []byte(layout), wks.Options{Var: lookup})
	if err != nil {
		t.Fatal(err)
	}
	return disk.Options{
		WKS: file, Name: "image-debian-trixie-qemuamd64", Epoch: epoch, Output: filepath.Join(dir, "image.wic"),
		WorkDir: work, Rootfs: root, DeployDir: deploy, Var: lookup, Bmap: true,
		Sources: map[string]disk.Source{bootloader.Name: bootloader.EFI{Arch: "amd64", Distro: "debian-trixie"}},
		Warn:    func(pos diag.Pos, text string) { t.Logf("warning: %s: %s", pos, text) },
	}
}

// fakeOptions are options without a tools tree.
func fakeOptions(t testing.TB, layout string) disk.Options {
	t.Helper()
	o := options(t, layout, 0)
	o.Runner = fakeRunner{}
	return o
}

const systemdLayout = `
part /boot --source bootimg-efi-isar --sourceparams "loader=systemd-boot" --label efi --part-type EF00 --align 1024 --use-uuid
part / --source rootfs --fstype ext4 --mkfs-extraopts "-T default" --label platform --align 1024 --use-uuid --exclude-path boot/ --extra-space 64M
bootloader --ptable gpt --timeout 3 --append "rootwait console=ttyS0,115200"
`

func sum(t testing.TB, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func TestBuildTwice(t *testing.T) {
	var sums []string
	for salt := range 2 {
		o := options(t, systemdLayout, salt*3)
		o.Runner = treeRunner{toolsTree(t)}
		r, err := disk.Build(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", r)
		sums = append(sums, sum(t, r.Output)+" "+sum(t, r.Bmap))
		if left, _ := os.ReadDir(o.WorkDir); len(left) != 0 {
			t.Errorf("the work folder holds %v", left)
		}
		if keep := os.Getenv("N3X_TEST_KEEP"); keep != "" && salt == 0 {
			data, _ := os.ReadFile(r.Output)
			os.WriteFile(filepath.Join(keep, "image.wic"), data, 0o644)
			data, _ = os.ReadFile(r.Bmap)
			os.WriteFile(filepath.Join(keep, "image.wic.bmap"), data, 0o644)
		}
	}
	if sums[0] != sums[1] {
		t.Errorf("two builds differ:\n%s", strings.Join(sums, "\n"))
	}
}
