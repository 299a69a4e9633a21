// SPDX-License-Identifier: MIT

package disk_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"n3x/internal/bootloader"
	"n3x/internal/disk"
)

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
			o := fakeOptions(t, tt.layout)
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
			for _, want := range append(tt.want, "start it up\x00") {
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
	o := fakeOptions(t, "part /boot --source bootimg-efi-isar --sourceparams loader=systemd-boot\nbootloader --ptable gpt")
	o.Sources = map[string]disk.Source{bootloader.Name: bootloader.EFI{Arch: "riscv64"}}
	log := &logRunner{}
	o.Runner = log
	if _, err := disk.Build(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	if want := "coreutils systemd-boot-efi:riscv64: cat /usr/lib/systemd/boot/efi/systemd-bootriscv64.efi"; !strings.Contains(strings.Join(log.lines, "\n"), want) {
		t.Errorf("ran %q, want %q", log.lines, want)
	}
}

// logRunner notes what is run.
type logRunner struct {
	fakeRunner
	lines []string
}

func (r *logRunner) Run(ctx context.Context, c disk.Command) error {
	r.lines = append(r.lines, strings.Join(c.Packages, " ")+": "+strings.Join(c.Argv, " "))
	return r.fakeRunner.Run(ctx, c)
}

func TestSources(t *testing.T) {
	o := fakeOptions(t, `
part --source rawcopy --sourceparams file=blob,skip=5 --fstype none --no-table --offset 1M
part --source rawcopy --sourceparams "file=blob.gz,unpack" --fstype none --offset 2M
part --source rawcopy --sourceparams "file=/imager/u-boot.bin" --fstype none --offset 3M
part swap --fstype swap --label sw --size 1M --offset 4M --fsuuid 11111111-2222-3333-4444-555555555555
part --source empty --sourceparams size=8K --size 1M --offset 6M
bootloader --ptable gpt
`)
	gz := "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcbH\xcd\xc9\xc9\x07\x00\x86\xa6\x106\x05\x00\x00\x00" // "hello"
	if err := os.WriteFile(filepath.Join(o.DeployDir, "blob.gz"), []byte(gz), 0o644); err != nil {
		t.Fatal(err)
	}
	o.Resolve = func(string) string { return filepath.Join(o.DeployDir, "blob") }
	if _, err := disk.Build(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(o.Output)
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[int]string{
		1 << 20: "are\x00", 2 << 20: "hello\x00", 3 << 20: "firmware\x00",
		4<<20 + 1024: "\x01\x00\x00\x00\xff\x00\x00\x00\x00\x00\x00\x00\x11\x11\x11\x11\x22\x22\x33\x33\x44\x44\x55\x55\x55\x55\x55\x55sw\x00",
		4<<20 + 4086: "SWAPSPACE2\x00",
	} {
		if got := string(image[at : at+len(want)]); got != want {
			t.Errorf("at %d there is %q, want %q", at, got, want)
		}
	}
	// The zeros of the empty source must be written to a medium: blocks 1536 and 1537, and the second table behind them.
	if m, _ := os.ReadFile(o.Output + ".bmap"); !strings.Contains(string(m), "> 1536-1542 <") {
		t.Errorf("the block map lacks the zeros:\n%s", m)
	}
}
