// SPDX-License-Identifier: MIT

package bootloader

import (
	"context"
	"fmt"
	"strings"

	"n3x/internal/diag"
)

// addSystemdBoot adds systemd-boot as the removable-media loader, its settings and one entry (Boot Loader Specification, type 1).
func (s *esp) addSystemdBoot(ctx context.Context) error {
	if s.Arch.EFI() == "" {
		return diag.Userf(s.p.Pos, "systemd-boot has no loader for the architecture %s", s.Arch)
	}
	file := "systemd-boot" + s.Arch.EFI() + ".efi"
	loader, err := s.readTool(ctx, s.foreign("systemd-boot-efi"), "/usr/lib/systemd/boot/efi/"+file)
	if err != nil {
		return err
	}
	if err := s.putText("EFI/BOOT/"+strings.TrimPrefix(file, "systemd-"), loader); err != nil {
		return err
	}
	settings := fmt.Sprintf("default boot\ntimeout %d\n", s.timeout())
	if err := s.putText("loader/loader.conf", []byte(settings)); err != nil {
		return err
	}
	entry, err := s.custom()
	if err != nil {
		return err
	}
	if entry == nil {
		entry = []byte(s.systemdEntry())
	}
	return s.putText("loader/entries/boot.conf", entry)
}

func (s *esp) systemdEntry() string {
	var b strings.Builder
	fmt.Fprintf(&b, "title %s\nlinux /%s\n", s.title(), s.kernel)
	fmt.Fprintf(&b, "options %s\n", words(s.rootArgument("LABEL=Boot "), s.b.Loader.Append))
	for _, rd := range s.initrds {
		fmt.Fprintf(&b, "initrd /%s\n", rd)
	}
	if s.dtb != "" {
		fmt.Fprintf(&b, "devicetree /%s\n", s.dtb)
	}
	return b.String()
}
