// SPDX-License-Identifier: MIT

package disk

import (
	"fmt"
	"io"
	"strings"

	"n3x/internal/disk/fstree"
)

// fstabPath is where the table lies in a root file system.
const fstabPath = "etc/fstab"

// fstabLines are the lines that the layout adds to fstab: one for every listed partition with a mount point, also / and /boot.
func fstabLines(parts []*Part) string {
	var b strings.Builder
	for _, p := range parts {
		if p.Number == 0 || !strings.HasPrefix(p.Mountpoint, "/") && p.Mountpoint != "swap" {
			continue
		}
		options, pass := "defaults", "0"
		if p.FSOptions != "" {
			options = p.FSOptions
		}
		if p.FSPassNo != "" {
			pass = p.FSPassNo
		}
		fmt.Fprintf(&b, "%s\t%s\t%s\t%s\t0\t%s\n", p.fstabDevice(), p.Mountpoint, p.FSType, options, pass)
	}
	return b.String()
}

// fstabDevice names the partition in fstab.
func (p *Part) fstabDevice() string {
	switch {
	case p.UseUUID && p.Part.FSUUID != "" && p.FAT():
		return fmt.Sprintf("UUID=%s-%s", p.FSUUID[2:6], p.FSUUID[6:])
	case p.UseUUID && p.Part.FSUUID != "":
		return "UUID=" + p.FSUUID
	case p.UseUUID:
		return "PARTUUID=" + p.UUID
	case p.UseLabel:
		return "LABEL=" + p.Label
	}
	return p.deviceName()
}

// deviceName is the partition's name under /dev when the disk has the name that the layout gives it.
func (p *Part) deviceName() string {
	separator := ""
	if strings.HasPrefix(p.Disk, "mmcblk") {
		separator = "p"
	}
	return fmt.Sprintf("/dev/%s%s%d", p.Disk, separator, p.Number)
}

// rootDevice is the kernel's root= for the first partition that is mounted at /, "" without one.
func rootDevice(parts []*Part, table string) string {
	for _, p := range parts {
		if p.Mountpoint != "/" {
			continue
		}
		switch {
		case p.UUID != "":
			return "PARTUUID=" + p.UUID
		case p.Label != "" && table != "msdos":
			return "PARTLABEL=" + p.tableName()
		}
		return p.deviceName()
	}
	return ""
}

// newFstab is the fstab of the image: that of the root file system with the layout's lines behind; nil when there is
// nothing to change.
func (b *Builder) newFstab() (*fstree.Node, error) {
	if b.o.NoFstabUpdate || b.fstab == "" || b.o.Rootfs == "" {
		return nil, nil
	}
	tree, err := b.Tree(b.o.Rootfs)
	if err != nil {
		return nil, err
	}
	at, ok := tree.Resolve(fstabPath)
	if !ok {
		return nil, nil
	}
	old, _ := tree.Lookup(at)
	if !old.IsRegular() {
		return nil, nil
	}
	f, err := old.Open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("read /%s: %w", at, err)
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	return fstree.NewFile(append(text, b.fstab...), 0o644, b.o.Epoch), nil
}
