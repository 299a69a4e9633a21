// SPDX-License-Identifier: MIT

package bootloader_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"n3x/internal/bootloader"
	"n3x/internal/disk"
	"n3x/internal/disk/wks"
)

const epoch = 1700000000

// options are those of an image with a small root file system.
func options(t *testing.T, layout string) disk.Options {
	t.Helper()
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	for name, text := range map[string]string{
		"root/boot/vmlinuz-6.1.0-1-amd64": "kernel", "root/boot/initrd.img-6.1.0-1-amd64": "initrd", "root/boot/grub/fonts/x.pf2": "nested font",
		"root/etc/fstab": "", "deploy/blob": "first blob", "work/x": "",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("boot/vmlinuz-6.1.0-1-amd64", filepath.Join(root, "vmlinuz")); err != nil {
		t.Fatal(err)
	}
	file, err := wks.Parse("test.wks", []byte(layout), wks.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return disk.Options{
		WKS: file, Name: "image", Epoch: epoch, Output: filepath.Join(dir, "image.wic"), WorkDir: filepath.Join(dir, "work"),
		Rootfs: root, DeployDir: filepath.Join(dir, "deploy"), Runner: &runner{},
		Sources: map[string]disk.Source{bootloader.Name: bootloader.EFI{Arch: "amd64", Distro: "debian-trixie"}},
	}
}

// TestLoaders looks for the loaders' settings in the EFI system partition. The texts are what real wic (isar.git b90b722f)
// writes for the same layouts, but for the partition's UUID.
func TestLoaders(t *testing.T) {
	const root = "part / --source rootfs --fstype ext4 --label platform --use-uuid --uuid 4a6b0b57-1c7f-4a2f-94b7-6f7b1aee7f34\n"
	tests := []struct {
		name, layout string
		vars         map[string]string
		want         []string
	}{
		{"systemd-boot",
			`part /boot --source bootimg-efi-isar --sourceparams "loader=systemd-boot" --label efi` + "\n" + root +
				`bootloader --ptable gpt --timeout 3 --append "rootwait console=ttyS0,115200 net.ifnames=0"`, nil,
			[]string{"default boot\ntimeout 3\n\x00",
				"title boot\nlinux /vmlinuz-6.1.0-1-amd64\n" +
					"options LABEL=Boot root=PARTUUID=4a6b0b57-1c7f-4a2f-94b7-6f7b1aee7f34 rootwait console=ttyS0,115200 net.ifnames=0\n" +
					"initrd /initrd.img-6.1.0-1-amd64\n\x00"}},
		{"grub",
			`part /boot --source bootimg-efi-isar --sourceparams "loader=grub-efi,title=n3x" --label efi` + "\n" + root +
				`bootloader --ptable gpt --timeout 3 --append "rootwait console=ttyS0,115200 console=tty0"`, nil,
			[]string{"serial --unit=0 --speed=115200 --word=8 --parity=no --stop=1\nterminal_input --append serial\n" +
				"terminal_output --append serial\n\ndefault=boot\ntimeout=3\nmenuentry 'n3x'{\n" +
				"linux /vmlinuz-6.1.0-1-amd64 root=PARTUUID=4a6b0b57-1c7f-4a2f-94b7-6f7b1aee7f34 rootwait rootwait console=ttyS0,115200 console=tty0\n" +
				"initrd /initrd.img-6.1.0-1-amd64\n}\n\x00"}},
		{"parameters",
			`part /boot --source bootimg-efi-isar --sourceparams "loader=systemd-boot,initrd=blob;blob2,dtb=x.dtb,label=L,title=T"` + "\n" + root +
				`bootloader --ptable gpt`, nil,
			[]string{"default boot\ntimeout 0\n\x00", "title T\nlinux /vmlinuz-6.1.0-1-amd64\noptions LABEL=L\ninitrd /blob\ninitrd /blob2\ndevicetree /x.dtb\n\x00", "second blob\x00"}},
		{"kernel file", `part /boot --source bootimg-efi-isar --sourceparams loader=grub-efi` + "\npart / --source rootfs --fstype ext4 --label platform\nbootloader --ptable gpt --timeout=1",
			map[string]string{"KERNEL_FILE": "usr/../boot/vmlinuz-6.1.0-1-amd64"}, []string{"linux /vmlinuz-6.1.0-1-amd64 root=PARTLABEL=platform rootwait\n"}},
		{"msdos", `part /boot --source bootimg-efi-isar --sourceparams loader=grub-efi` + "\npart / --source rootfs --fstype ext4 --label platform --ondisk mmcblk0\nbootloader",
			nil, []string{" root=/dev/mmcblk0p2 rootwait\n"}},
		{"boot files", `part /boot --source bootimg-efi-isar --sourceparams loader=grub-efi --label efi` + "\nbootloader",
			map[string]string{"IMAGE_EFI_BOOT_FILES": "none", "IMAGE_EFI_BOOT_FILES_label-efi": "blob;a/renamed *.dtb;dtbs"},
			[]string{"tree blob\x00", "RENAMED", "DTBS", "linux /vmlinuz-6.1.0-1-amd64 rootwait\n"}},
		{"custom", `part /boot --source bootimg-efi-isar --sourceparams loader=grub-efi` + "\nbootloader --configfile my.cfg", nil, []string{"my own text\x00"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := options(t, tt.layout)
			for name, text := range map[string]string{"blob2": "second blob", "x.dtb": "tree blob", "startup.nsh": "start it up"} {
				if err := os.WriteFile(filepath.Join(o.DeployDir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if tt.vars != nil {
				o.Var = func(name string) (string, bool) { v, ok := tt.vars[name]; return v, ok }
			}
			o.Canned = func(name string) (string, []byte, error) { return name, []byte("my own text"), nil }
			o.DeployPartitions = true
			r, err := disk.Build(context.Background(), o)
			if err != nil {
				t.Fatal(err)
			}
			esp, err := os.ReadFile(r.Partitions[0].File)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range append(tt.want, "start it up\x00", "nested font\x00") {
				if !bytes.Contains(esp, []byte(want)) && !bytes.Contains(bytes.ToUpper(esp), []byte(want)) {
					i := bytes.Index(esp, []byte(want[:10]))
					t.Errorf("the partition lacks %q; it has %q", want, esp[max(i, 0):max(i, 0)+400])
				}
			}
		})
	}
}

// TestForeignLoader asks for the loader of another architecture.
func TestForeignLoader(t *testing.T) {
	o := options(t, "part /boot --source bootimg-efi-isar --sourceparams loader=systemd-boot\nbootloader --ptable gpt")
	o.Sources = map[string]disk.Source{bootloader.Name: bootloader.EFI{Arch: "riscv64"}}
	log := o.Runner.(*runner)
	if _, err := disk.Build(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	if want := "coreutils systemd-boot-efi:riscv64: cat /usr/lib/systemd/boot/efi/systemd-bootriscv64.efi"; !strings.Contains(strings.Join(log.lines, "\n"), want) {
		t.Errorf("ran %q, want %q", log.lines, want)
	}
}

// runner stands for the tools tree and notes what is run. Every FAT is 16 MiB large.
type runner struct{ lines []string }

func (r *runner) Run(_ context.Context, c disk.Command) error {
	r.lines = append(r.lines, strings.Join(c.Packages, " ")+": "+strings.Join(c.Argv, " "))
	host := func(p string) string { return strings.Replace(p, c.Binds[0].Target, c.Binds[0].Source, 1) }
	switch c.Argv[0] {
	case "mkfs.vfat":
		packed, err := os.ReadFile("../disk/fat/testdata/fat16.img.zst")
		if err != nil {
			return err
		}
		z, err := zstd.NewReader(nil)
		if err != nil {
			return err
		}
		defer z.Close()
		image, err := z.DecodeAll(packed, nil)
		if err != nil {
			return err
		}
		return os.WriteFile(host(c.Argv[len(c.Argv)-2]), image, 0o644)
	case "cat":
		_, err := c.Stdout.Write([]byte("loader"))
		return err
	case "grub-mkimage":
		return os.WriteFile(host(c.Argv[6]), []byte("GRUB"), 0o644)
	}
	if c.Stdin != nil {
		io.Copy(io.Discard, c.Stdin)
	}
	return nil
}
