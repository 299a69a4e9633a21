// SPDX-License-Identifier: MIT

// Package bootloader fills the partitions that firmware boots from.
//
// [EFI] is ISAR's source plugin bootimg-efi-isar for the disk room: an EFI system partition with the kernel and initrd of
// the root filesystem and either systemd-boot or GRUB. Loaders come from the tools tree (systemd-boot-efi, grub-mkimage).
// Refused by name: unified kernel images, signing, Debian's shim, payload folders, architectures without such a loader.
//
// Mirrors meta/scripts/lib/wic/plugins/source/bootimg-efi-isar.py and isarpluginbase.py of ISAR. Where wic writes Python's
// None (no --append, no --timeout), nothing and 0 are written.
package bootloader

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"strings"

	"n3x/internal/arch"
	"n3x/internal/diag"
	"n3x/internal/disk"
	"n3x/internal/disk/fstree"
	"n3x/internal/disk/wks"
)

// Name is the source plugin's name in a kickstart file.
const Name = "bootimg-efi-isar"

// EFI makes EFI system partitions.
type EFI struct {
	Arch   arch.Arch // of the machine (DISTRO_ARCH)
	Distro string    // DISTRO, e.g. "debian-trixie"
}

// spareKiB is how much more than its files an EFI system partition holds at least.
const spareKiB = 16 * 1024

// esp is one EFI system partition in the making.
type esp struct {
	EFI
	b    *disk.Builder
	p    *disk.Part
	tree *fstree.Tree

	kernel  string   // file name in the partition
	initrds []string //
	dtb     string
}

// Prepare makes the partition's file system.
func (e EFI) Prepare(ctx context.Context, b *disk.Builder, p *disk.Part) (disk.Content, error) {
	s := &esp{EFI: e, b: b, p: p, tree: fstree.New(b.Epoch())}
	if err := s.checkParams(); err != nil {
		return disk.Content{}, err
	}
	for _, step := range []func(context.Context) error{s.addBootFolder, s.addParams, s.addBootFiles, s.addLoader, s.addStartup} {
		if err := step(ctx); err != nil {
			return disk.Content{}, err
		}
	}
	fs := disk.FileSystem{Label: "ESP"}
	if p.Label != "" {
		fs.Label = p.Label
	}
	if extra, ok := p.Params.Lookup("extraargs"); ok {
		words, err := wks.Split(extra)
		if err != nil {
			return disk.Content{}, diag.Userf(p.Pos, "source %s: extraargs: %w", Name, err)
		}
		fs.Options = words
	}
	return b.MakeFAT(ctx, p, s.tree, fs, p.GrownKiB(s.tree.ApparentKiB(), spareKiB))
}

// loaders are the values of the parameter loader.
var loaders = []string{"systemd-boot", "grub-efi"}

func (s *esp) checkParams() error {
	s.b.KnownParams(s.p, "loader", "initrd", "dtb", "title", "label", "extraargs",
		"create-unified-kernel-image", "use-debian-sb-stub", "signwith", "payload_dir")
	for _, name := range []string{"create-unified-kernel-image", "use-debian-sb-stub"} {
		if v, _ := s.p.Params.Lookup(name); v == "true" {
			return diag.Userf(s.p.Pos, "source %s: %s is not supported", Name, name).WithHint("leave it out: kernel and initrd are then plain files")
		}
	}
	for _, name := range []string{"signwith", "payload_dir"} {
		if v, _ := s.p.Params.Lookup(name); v != "" {
			return diag.Userf(s.p.Pos, "source %s: %s is not supported", Name, name)
		}
	}
	loader, _ := s.p.Params.Lookup("loader")
	switch loader {
	case "systemd-boot", "grub-efi":
		return nil
	case "":
		return diag.Userf(s.p.Pos, "source %s needs a loader", Name).WithHint(`add --sourceparams "loader=systemd-boot" or "loader=grub-efi"`)
	}
	e := diag.Userf(s.p.Pos, "source %s: unknown loader %q", Name, loader)
	if near := diag.Nearest(loader, loaders); near != "" {
		return e.WithHint("did you mean %s?", near)
	}
	return e.WithHint("choose one of %s", strings.Join(loaders, ", "))
}

// addBootFolder copies every file of the root file system's /boot into the partition's root, as ISAR does: folders
// are flattened and symbolic links left out. It finds out the kernel's and the initrd's names.
func (s *esp) addBootFolder(context.Context) error {
	rootfs, err := s.b.Rootfs()
	if err != nil {
		return err
	}
	boot, err := rootfs.Sub("boot")
	if err != nil {
		return diag.Userf(s.p.Pos, "source %s: the root file system has no folder /boot, and so no kernel", Name).
			WithHint("install a kernel: KERNEL_NAME, or IMAGE_PREINSTALL += \"linux-image-...\"")
	}
	for _, e := range boot.Entries() {
		if e.IsRegular() {
			if err := s.tree.Put(path.Base(e.Path), e.Node); err != nil {
				return err
			}
		}
	}
	return s.findKernel(rootfs, boot)
}

// findKernel follows Debian's link to the kernel, in / or in /boot, to its file in /boot.
func (s *esp) findKernel(rootfs, boot *fstree.Tree) error {
	names := []string{"vmlinuz", "vmlinux"}
	if f := s.b.Var("KERNEL_FILE"); f != "" {
		names = append([]string{f}, names...)
	}
	for _, name := range names {
		for _, dir := range []string{"", "boot/"} {
			real, ok := rootfs.Resolve(dir + name)
			if n, _ := rootfs.Lookup(real); !ok || !n.IsRegular() {
				continue
			}
			s.kernel = path.Base(real)
			if n, ok := boot.Lookup(s.kernel); !ok || !n.IsRegular() {
				return diag.Userf(s.p.Pos, "source %s: the kernel %s is not in /boot of the root file system", Name, s.kernel)
			}
			s.findInitrd(boot)
			return nil
		}
	}
	return diag.Userf(s.p.Pos, "source %s: the root file system has no kernel", Name).
		WithNote("looked for %s in / and /boot", strings.Join(names, ", ")).
		WithHint("set KERNEL_NAME, or KERNEL_FILE when the kernel's file is called otherwise")
}

func (s *esp) findInitrd(boot *fstree.Tree) {
	name := "initrd.img"
	if _, version, ok := strings.Cut(s.kernel, "-"); ok {
		name += "-" + version
	}
	if n, ok := boot.Lookup(name); ok && n.IsRegular() {
		s.initrds = []string{name}
	}
}

// addParams copies the initrds and the device tree that the parameters name, from the deploy folder.
func (s *esp) addParams(context.Context) error {
	if initrd, _ := s.p.Params.Lookup("initrd"); initrd != "" {
		s.initrds = strings.Split(initrd, ";")
		for _, name := range s.initrds {
			if err := s.copyFile("initrd", name, path.Base(name)); err != nil {
				return err
			}
		}
	}
	dtb, _ := s.p.Params.Lookup("dtb")
	if dtb == "" {
		return nil
	}
	if strings.Contains(dtb, ";") {
		return diag.Userf(s.p.Pos, "source %s: only one dtb is possible, not %s", Name, dtb)
	}
	s.dtb = dtb
	return s.copyFile("dtb", dtb, path.Base(dtb))
}

// copyFile puts a file of the deploy folder into the partition.
func (s *esp) copyFile(what, name, to string) error {
	n, err := fstree.File(s.b.File(name), s.b.Epoch())
	if err != nil {
		return diag.Userf(s.p.Pos, "source %s: %s %s: %w", Name, what, name, err)
	}
	return s.tree.Put(to, n)
}

// addStartup copies the UEFI shell's script when the deploy folder has one.
func (s *esp) addStartup(context.Context) error {
	if n, err := fstree.File(s.b.File("startup.nsh"), s.b.Epoch()); err == nil {
		return s.tree.Put("startup.nsh", n)
	}
	return nil
}

func (s *esp) addLoader(ctx context.Context) error {
	if loader, _ := s.p.Params.Lookup("loader"); loader == "grub-efi" {
		return s.addGRUB(ctx)
	}
	return s.addSystemdBoot(ctx)
}

// custom is the text that bootloader --configfile names, nil without one.
func (s *esp) custom() ([]byte, error) {
	name := s.b.Loader.ConfigFile
	if name == "" {
		return nil, nil
	}
	data, err := s.b.Canned(name)
	if err != nil {
		return nil, diag.Userf(s.b.Loader.Pos, "bootloader --configfile %s: %w", name, err)
	}
	return data, nil
}

// rootArgument is what tells the kernel its root device, with prefix before it.
func (s *esp) rootArgument(prefix string) string {
	if label, _ := s.p.Params.Lookup("label"); label != "" {
		return "LABEL=" + label
	}
	if dev := s.b.RootDevice(); dev != "" {
		return prefix + "root=" + dev
	}
	return ""
}

func (s *esp) title() string {
	if t, _ := s.p.Params.Lookup("title"); t != "" {
		return t
	}
	return "boot"
}

func (s *esp) timeout() int {
	if s.b.Loader.Timeout == nil {
		return 0
	}
	return *s.b.Loader.Timeout
}

// words joins what is not empty.
func words(list ...string) string {
	var out []string
	for _, w := range list {
		if w != "" {
			out = append(out, w)
		}
	}
	return strings.Join(out, " ")
}

func (s *esp) putText(name string, text []byte) error {
	return s.tree.Put(name, fstree.NewFile(text, 0o644, s.b.Epoch()))
}

// foreign is a package of the machine's architecture as apt-get names it.
func (s *esp) foreign(name string) string {
	if s.Arch == arch.Host() {
		return name
	}
	return name + ":" + string(s.Arch)
}

// readTool is a file of a package in the tools tree.
func (s *esp) readTool(ctx context.Context, pkg, file string) ([]byte, error) {
	var out bytes.Buffer
	err := s.b.Run(ctx, disk.Command{Packages: []string{"coreutils", pkg}, Argv: []string{"cat", file}, Stdout: &out})
	if err != nil {
		return nil, diag.Failedf(s.p.Pos, "read %s of package %s: %w", file, pkg, err)
	}
	if out.Len() == 0 {
		return nil, fmt.Errorf("%s of package %s is empty", file, pkg)
	}
	return out.Bytes(), nil
}
