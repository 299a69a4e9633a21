// SPDX-License-Identifier: MIT

package bootloader

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"n3x/internal/arch"
	"n3x/internal/diag"
	"n3x/internal/disk"
	"n3x/internal/disk/fstree"
)

// grubPlatform is what GRUB calls an architecture, and the modules that only it has.
type grubPlatform struct{ target, pkg, modules string }

var grubPlatforms = map[arch.Arch]grubPlatform{
	"amd64": {"x86_64-efi", "grub-efi-amd64-bin", "multiboot iorw ata efi_uga"},
	"i386":  {"i386-efi", "grub-efi-ia32-bin", "multiboot efi_uga iorw ata"},
	"arm64": {"arm64-efi", "grub-efi-arm64-bin", ""},
	"armhf": {"arm-efi", "grub-efi-arm-bin", ""},
}

// grubModules are built into every loader.
const grubModules = "part_gpt part_msdos ntfs ntfscomp fat ext2 normal chain boot configfile linux search efi_gop font " +
	"gfxterm gfxmenu terminal minicmd test loadenv echo help reboot serial terminfo iso9660 loopback tar memdisk ls " +
	"search_fs_uuid udf btrfs xfs lvm reiserfs regexp"

// addGRUB adds a GRUB image as the removable-media loader and its grub.cfg.
func (s *esp) addGRUB(ctx context.Context) error {
	platform, ok := grubPlatforms[s.Arch]
	if !ok {
		return diag.Userf(s.p.Pos, "source %s: GRUB is not supported on the architecture %s", Name, s.Arch).WithHint("use loader=systemd-boot")
	}
	if err := s.grubImage(ctx, platform); err != nil {
		return err
	}
	config, err := s.custom()
	if err != nil {
		return err
	}
	if config == nil {
		config = []byte(s.grubConfig())
	}
	return s.putText("EFI/BOOT/grub.cfg", config)
}

func (s *esp) grubImage(ctx context.Context, platform grubPlatform) error {
	const dir = "/work"
	modules := platform.modules
	if strings.Contains(s.Distro, "sid") { // its GRUB has no efi_uga any more
		modules = strings.ReplaceAll(modules, "efi_uga", "")
	}
	name := fmt.Sprintf("boot%s.efi", s.Arch.EFI())
	out := filepath.Join(s.b.Dir, fmt.Sprintf("part%d.%s", s.p.Index, name))
	argv := []string{"grub-mkimage", "-p", "/EFI/BOOT", "-O", platform.target, "-o", dir + "/" + filepath.Base(out)}
	argv = append(argv, strings.Fields(grubModules+" "+modules)...)
	err := s.b.Run(ctx, disk.Command{
		Packages: []string{"grub-common", s.foreign(platform.pkg)}, Argv: argv,
		Binds: []disk.Bind{{Source: s.b.Dir, Target: dir}},
	})
	if err != nil {
		return diag.Failedf(s.p.Pos, "make the GRUB image for %s: %w", platform.target, err)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		return err
	}
	if err := os.Remove(out); err != nil {
		return err
	}
	return s.tree.Put("EFI/BOOT/"+name, fstree.NewFile(data, 0o644, s.b.Epoch()))
}

// grubConfig is the menu with one entry, on screen and serial console.
func (s *esp) grubConfig() string {
	var b strings.Builder
	b.WriteString("serial --unit=0 --speed=115200 --word=8 --parity=no --stop=1\n" +
		"terminal_input --append serial\n" +
		"terminal_output --append serial\n\n" +
		"default=boot\n")
	fmt.Fprintf(&b, "timeout=%d\n", s.timeout())
	fmt.Fprintf(&b, "menuentry '%s'{\n", s.title())
	fmt.Fprintf(&b, "linux /%s %s\n", s.kernel, words(s.rootArgument(""), "rootwait", s.b.Loader.Append))
	if len(s.initrds) > 0 {
		fmt.Fprintf(&b, "initrd /%s\n", strings.Join(s.initrds, " /"))
	}
	if s.dtb != "" {
		fmt.Fprintf(&b, "devicetree /%s\n", s.dtb)
	}
	b.WriteString("}\n")
	return b.String()
}
