// SPDX-License-Identifier: MIT

package disk_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"n3x/internal/bootloader"
	"n3x/internal/diag"
	"n3x/internal/disk"
)

const gpt = "\nbootloader --ptable gpt"

var buildErrors = []struct {
	name, layout, want, hint string
	change                   func(t *testing.T, o *disk.Options)
}{
	{"ext too small", "part / --source rootfs --fstype ext4 --fixed-size 5M", "test.wks:1: partition / is too small: its content needs 11872 KiB, the layout gives it 5120 KiB", "--fixed-size to at least 11872K", nil},
	{"fat too small", "\npart /b --source rootfs --rootfs-dir ${IMAGE_ROOTFS}/boot --fixed-size 7M", "test.wks:2: partition /b is too small", "--fixed-size", nil},
	{"fat barely too small", "part /b --source rootfs --rootfs-dir ${IMAGE_ROOTFS}/boot --fixed-size 7815K", "is too small: its content needs", "--fixed-size", nil},
	{"esp too small", `part /boot --source bootimg-efi-isar --sourceparams loader=systemd-boot --fixed-size 9M` + gpt, "partition /boot is too small: its content needs 24320 KiB", "--fixed-size", nil},
	{"raw too large", "part x --source rawcopy --sourceparams file=big --fixed-size 1M --fstype none", "partition x is too small: its content needs 2048 KiB, the layout gives it 1024 KiB", "2048K", big},
	{"no raw file", "part --source rawcopy --sourceparams file=none.bin", "there is no file none.bin", "deploy folder", nil},
	{"no raw file given", "part --source rawcopy", "rawcopy needs a file", "file=NAME", nil},
	{"raw in the imager", "part --source rawcopy --sourceparams file=/usr/lib/u-boot/x.bin", "there is no file /usr/lib/u-boot/x.bin", "IMAGER_INSTALL", nil},
	{"raw skip", "part --source rawcopy --sourceparams file=blob,skip=100 --fstype none", "skip=100 reaches behind its end", "", nil},
	{"raw skip word", "part --source rawcopy --sourceparams file=blob,skip=x", "skip=x is not a number", "", nil},
	{"raw unpack", "part --source rawcopy --sourceparams file=blob,unpack", "unpack knows no files named *", "", nil},
	{"raw label", "part --source rawcopy --sourceparams file=blob --label x --fstype btrfs", "cannot set the label of a btrfs", "--part-name", nil},
	{"unknown source", "part / --source rootfz", `the source plugin "rootfz" is not supported`, "rootfs", nil},
	{"other plugin", "part /boot --source efibootguard-efi", `the source plugin "efibootguard-efi" is not supported`, "supported are bootimg-efi-isar", nil},
	{"bootloader plugin", "part /boot --size 1\nbootloader --source bootimg-pcbios", `test.wks:2: the source plugin "bootimg-pcbios"`, "supported are", nil},
	{"btrfs", "part / --source rootfs --fstype btrfs", "file systems of type btrfs are not supported", "use ext4", nil},
	{"empty squashfs", "part / --fstype squashfs --size 1M", "an empty squashfs cannot be made", "--source", nil},
	{"swap with content", "part / --source rootfs --fstype swap", "source rootfs cannot make a file system of type swap", "", nil},
	{"no size", "part /data --fstype ext4", "has a size of zero", "--size", nil},
	{"no size at all", "part --fstype none", "has a size of zero", "--no-table", nil},
	{"tiny swap", "part swap --fstype swap --size 30K", "too small for swap", "40 KiB", nil},
	{"no kernel", "part /boot --source bootimg-efi-isar --sourceparams loader=grub-efi", "the root file system has no kernel", "KERNEL_FILE", func(t *testing.T, o *disk.Options) {
		if err := os.Remove(filepath.Join(o.Rootfs, "vmlinuz")); err != nil {
			t.Fatal(err)
		}
	}},
	{"no boot", "part /boot --source bootimg-efi-isar --sourceparams loader=grub-efi", "no folder /boot", "KERNEL_NAME", func(t *testing.T, o *disk.Options) {
		if err := os.RemoveAll(filepath.Join(o.Rootfs, "boot")); err != nil {
			t.Fatal(err)
		}
	}},
	{"no loader", "part /boot --source bootimg-efi-isar", "needs a loader", "loader=systemd-boot", nil},
	{"loader", "part /boot --source bootimg-efi-isar --sourceparams loader=grub", `unknown loader "grub"`, "grub-efi", nil},
	{"unified", "part /boot --source bootimg-efi-isar --sourceparams loader=systemd-boot,create-unified-kernel-image=true", "create-unified-kernel-image is not supported", "", nil},
	{"shim", "part /boot --source bootimg-efi-isar --sourceparams loader=grub-efi,use-debian-sb-stub=true", "use-debian-sb-stub is not supported", "", nil},
	{"sign", "part /boot --source bootimg-efi-isar --sourceparams loader=grub-efi,signwith=/x", "signwith is not supported", "", nil},
	{"initrd", "part /boot --source bootimg-efi-isar --sourceparams loader=grub-efi,initrd=none", "initrd none", "", nil},
	{"two dtbs", "part /boot --source bootimg-efi-isar --sourceparams 'loader=grub-efi,dtb=a;b'", "only one dtb", "", nil},
	{"config file", "part /boot --source bootimg-efi-isar --sourceparams loader=grub-efi\nbootloader --configfile x.cfg", "test.wks:2: bootloader --configfile x.cfg", "", nil},
	{"extraargs", `part /boot --source bootimg-efi-isar --sourceparams "loader=grub-efi,extraargs='"`, "extraargs: no closing quotation mark", "", nil},
	{"riscv grub", "part /boot --source bootimg-efi-isar --sourceparams loader=grub-efi", "GRUB is not supported on the architecture riscv64", "systemd-boot", func(t *testing.T, o *disk.Options) {
		o.Sources = map[string]disk.Source{bootloader.Name: bootloader.EFI{Arch: "riscv64"}}
	}},
	{"boot files", "part /boot --source bootimg-efi-isar --sourceparams loader=grub-efi", `malformed entry "a;b;c"`, "SOURCE;TARGET", bootFiles("blob a;b;c")},
	{"no boot file", "part /boot --source bootimg-efi-isar --sourceparams loader=grub-efi", "IMAGE_EFI_BOOT_FILES none", "", bootFiles("none")},
	{"offset", "part a --size 1M\npart b --size 1M --offset 512K", "test.wks:2: partition b cannot begin at --offset 524288", "", nil},
	{"crooked offset", "part a --size 1M --offset 1K\npart b --size 1M", "", "", nil},
	{"part-name", "part a --size 1M --part-name b", "--part-name needs a GPT", "--ptable gpt", nil},
	{"part-type", "part a --size 1M --part-type EF00", "--part-type needs a GPT", "--system-id", nil},
	{"system-id", "part a --size 1M --system-id 83" + gpt, "the table here is gpt", "--part-type", nil},
	{"type", "part a --size 1M --part-type EF0" + gpt, `test.wks:1: unknown partition type "EF0"`, "EF00", nil},
	{"mbr", "part a --size 1M --mbr" + gpt, "--mbr needs", "gpt-hybrid", nil},
	{"hidden", "part a --size 1M --hidden", "--hidden needs", "", nil},
	{"uuid", "part a --size 1M --uuid 123" + gpt, `--uuid: "123" is not a GUID`, "uuidgen", nil},
	{"fsuuid", "part a --size 1M --fstype ext4 --fsuuid 123", `--fsuuid: "123" is not a GUID`, "uuidgen", nil},
	{"label", "part a --size 1M --label twelve-bytes", `the label "twelve-bytes" is longer than the 11 bytes`, "--part-name", nil},
	{"table name", "part a --size 1M --fstype none --part-name " + strings.Repeat("x", 37) + gpt, "longer than the 36 characters", "", nil},
	{"same uuid", "part a --size 1M --uuid 4a6b0b57-1c7f-4a2f-94b7-6f7b1aee7f34\npart b --size 1M --uuid 4A6B0B57-1c7f-4a2f-94b7-6f7b1aee7f34" + gpt, "test.wks:2: the partition UUID", "", nil},
	{"same label", "part a --size 1M --label x\npart b --size 1M --label x --use-label", `the label "x" is used twice`, "", nil},
	{"too many in the MBR", strings.Repeat("part a --size 1M --mbr\n", 4) + "bootloader --ptable gpt-hybrid", "more than 3 partitions", "", nil},
	{"exclude outside", "part / --source rootfs --fstype ext4 --exclude-path ../x", "must stay inside", "", nil},
	{"exclude absolute", "part / --source rootfs --fstype ext4 --exclude-path /boot", "must be relative", "write boot", nil},
	{"change directory", "part / --source rootfs --fstype ext4 --change-directory none", "there is no directory none", "", nil},
	{"include", "part / --source rootfs --fstype ext4 --include-path /no/such/thing", "there is no such folder", "", nil},
	{"rootfs-dir", "part / --source rootfs --fstype ext4 --rootfs-dir /no/such/thing", "there is no such folder", "", nil},
	{"rootfs-dir name", "part / --source rootfs --fstype ext4 --rootfs-dir other-image", "neither an absolute path nor the name", "${IMAGE_ROOTFS}", nil},
	{"links in FAT", "part / --source rootfs --fstype vfat --rootfs-dir ${IMAGE_ROOTFS}/etc", "/link cannot be put into a FAT", "--exclude-path", func(t *testing.T, o *disk.Options) {
		if err := os.Symlink("/nowhere", filepath.Join(o.Rootfs, "etc/link")); err != nil {
			t.Fatal(err)
		}
	}},
	{"fill", "part --source empty --sourceparams fill --size 1M", "fill needs --fixed-size", "", nil},
	{"fill and size", "part --source empty --sourceparams fill,size=1 --fixed-size 1M", "exclude each other", "", nil},
	{"empty size", "part --source empty --sourceparams size=x --fixed-size 1M", `test.wks:1: invalid size "x"`, "", nil},
	{"mkfs fails", "part / --source rootfs --fstype ext4 --fixed-size 13M", "make the ext4 file system of /: mke2fs: exit status 1", "--fixed-size", func(t *testing.T, o *disk.Options) { o.Runner = fakeRunner{broken: "mke2fs"} }},
	{"mkfs options", `part / --source rootfs --fstype ext4 --mkfs-extraopts "-L '"`, "--mkfs-extraopts: no closing quotation mark", "", nil},
	{"fatlabel fails", "part a --source rawcopy --sourceparams file=blob --label x", `set the label "x"`, "--fstype none", func(t *testing.T, o *disk.Options) { o.Runner = fakeRunner{broken: "fatlabel"} }},
	{"no tools", "part / --source rootfs --fstype ext4", "no tools tree to run mke2fs in", "", func(t *testing.T, o *disk.Options) { o.Runner = nil }},
}

func TestBuildErrors(t *testing.T) {
	for _, tt := range buildErrors {
		t.Run(tt.name, func(t *testing.T) {
			o := fakeOptions(t, tt.layout)
			if tt.change != nil {
				tt.change(t, &o)
			}
			if err := os.WriteFile(o.Output, []byte("the old image"), 0o644); err != nil {
				t.Fatal(err)
			}
			before := folderNames(t, filepath.Dir(o.Output))
			_, err := disk.Build(context.Background(), o)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %s", err, tt.want)
			}
			var e *diag.Error
			if !errors.As(err, &e) || e.Pos.File != "test.wks" || e.Pos.Line == 0 || !strings.Contains(e.Hint, tt.hint) {
				t.Errorf("no place or hint %q in %#v", tt.hint, e)
			}
			if old, _ := os.ReadFile(o.Output); string(old) != "the old image" {
				t.Error("the old image was changed")
			}
			if after := folderNames(t, filepath.Dir(o.Output)); after != before || folderNames(t, o.WorkDir) != "" {
				t.Errorf("before %s, after %s and %s", before, after, folderNames(t, o.WorkDir))
			}
		})
	}
}

func folderNames(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func big(t *testing.T, o *disk.Options) {
	if err := os.WriteFile(filepath.Join(o.DeployDir, "big"), make([]byte, 2<<20), 0o644); err != nil {
		t.Fatal(err)
	}
}

func bootFiles(value string) func(*testing.T, *disk.Options) {
	return func(_ *testing.T, o *disk.Options) {
		o.Var = func(name string) (string, bool) { return value, name == "IMAGE_EFI_BOOT_FILES" }
	}
}

func TestCancel(t *testing.T) {
	o := fakeOptions(t, systemdLayout)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := disk.Build(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if names := folderNames(t, filepath.Dir(o.Output)); names != "deploy work" {
		t.Errorf("left %s", names)
	}
}
