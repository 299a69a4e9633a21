// SPDX-License-Identifier: MIT

package wks

import (
	"fmt"
	"strconv"
	"strings"

	"n3x/internal/diag"
)

// Defaults of a partition without --fixed-size.
const (
	defaultExtraSpace = 10 * 1024 // KiB
	defaultOverhead   = 1.3
)

// FSTypes are the file systems a part line may name.
var fsTypes = []string{"ext2", "ext3", "ext4", "btrfs", "squashfs", "vfat", "msdos", "erofs", "swap", "none"}

// partLine is a part line while it is read: what the options' mere presence decides.
type partLine struct {
	*Part
	hasExtra, hasOverhead, hasSize, hasFixed bool
	excludes                                 int
}

func (p *parser) part(pos diag.Pos, args []string) error {
	l := &partLine{Part: &Part{Pos: pos, Disk: "sda", FSType: "vfat"}}
	rest, err := scan(append(l.placing(), l.filling()...), args)
	if err != nil {
		return at(pos, "part", err)
	}
	if len(rest) > 1 {
		return diag.Userf(pos, "unexpected word %q: a part line has one mount point, here %q", rest[1], rest[0])
	}
	if len(rest) == 1 {
		l.Mountpoint = rest[0]
	}
	if err := l.check(); err != nil {
		return at(pos, "part", err)
	}
	p.hints(l, args)
	l.Index = len(p.file.Parts) + 1
	p.file.Parts = append(p.file.Parts, l.Part)
	return nil
}

// placing are the options that say where and how large the partition is and how the table lists it.
func (l *partLine) placing() []option {
	return []option{
		{name: "--active", flag: flag(&l.Active)},
		{name: "--align", set: func(v string) error {
			n, err := strconv.ParseInt(v, 10, 32)
			if err != nil || n < 0 {
				return fmt.Errorf("%q is not a number of KiB", v)
			}
			l.Align = n
			return nil
		}},
		{name: "--offset", set: func(v string) error {
			n, err := ParseSize(v, 'K', true)
			l.Offset = &n
			return err
		}},
		{name: "--size", set: func(v string) error { l.hasSize = true; return kib(&l.Size)(v) }},
		{name: "--fixed-size", set: func(v string) error { l.hasFixed = true; return kib(&l.FixedSize)(v) }},
		{name: "--extra-space", set: func(v string) error { l.hasExtra = true; return kib(&l.ExtraSpace)(v) }},
		{name: "--overhead-factor", set: func(v string) (err error) {
			l.hasOverhead = true
			l.OverheadFactor, err = parseFactor(v)
			return err
		}},
		{name: "--hidden", flag: flag(&l.Hidden)},
		{name: "--mbr", flag: flag(&l.MBR)},
		{name: "--no-table", flag: flag(&l.NoTable)},
		{name: "--ondisk", set: text(&l.Disk)},
		{name: "--ondrive", set: text(&l.Disk)},
		{name: "--part-name", set: text(&l.PartName)},
		{name: "--part-type", set: text(&l.PartType)},
		{name: "--type", set: func(v string) error {
			var kind string
			err := choice(&kind, "primary", "logical")(v)
			l.Logical = kind == "logical"
			return err
		}},
		{name: "--system-id", set: func(v string) error {
			n, err := strconv.ParseUint(strings.TrimPrefix(strings.ToLower(v), "0x"), 16, 8)
			if err != nil || n == 0 {
				return fmt.Errorf("%q is not a hexadecimal number between 0x1 and 0xFF", v)
			}
			l.SystemID = int(n)
			return nil
		}},
		{name: "--uuid", set: text(&l.UUID)},
		{name: "--use-uuid", flag: flag(&l.UseUUID)},
	}
}

// filling are the options that say what is in the partition.
func (l *partLine) filling() []option {
	return []option{
		{name: "--fstype", set: choice(&l.FSType, fsTypes...)},
		{name: "--fsoptions", set: text(&l.FSOptions)},
		{name: "--fspassno", set: text(&l.FSPassNo)},
		{name: "--fsuuid", set: text(&l.FSUUID)},
		{name: "--label", set: text(&l.Label)},
		{name: "--use-label", flag: flag(&l.UseLabel)},
		{name: "--mkfs-extraopts", set: text(&l.MkfsExtraOpts)},
		{name: "--no-fstab-update", flag: flag(&l.NoFstabUpdate)},
		{name: "--rootfs-dir", set: text(&l.RootfsDir)},
		{name: "--exclude-path", many: func(v []string) error { l.excludes++; l.ExcludePaths = v; return nil }},
		{name: "--include-path", many: func(v []string) error {
			if len(v) > 2 {
				return fmt.Errorf("takes a path and the folder it goes to, not %d words", len(v))
			}
			l.IncludePaths = append(l.IncludePaths, Include{Path: v[0], Target: strings.Join(v[1:], "")})
			return nil
		}},
		{name: "--change-directory", set: text(&l.ChangeDirectory)},
		{name: "--source", set: text(&l.Source)},
		{name: "--sourceparams", set: func(v string) error { l.Params = parseParams(v); return nil }},
	}
}

// parseParams reads key=value pairs and bare keys, separated by commas.
func parseParams(v string) Params {
	var ps Params
	for _, one := range strings.Split(v, ",") {
		if one == "" {
			continue
		}
		key, value, has := strings.Cut(one, "=")
		ps = append(ps, Param{key, value, has})
	}
	return ps
}

// check applies the rules between options and fills defaults in.
func (l *partLine) check() error {
	switch {
	case l.hasSize && l.hasFixed:
		return fmt.Errorf("--size and --fixed-size exclude each other")
	case l.FSType == "squashfs" && l.FSUUID != "":
		return fmt.Errorf("squashfs has no UUID: drop --fsuuid")
	case (l.FSType == "squashfs" || l.FSType == "erofs") && l.Label != "":
		return fmt.Errorf("%s has no label: drop --label, or use --part-name", l.FSType)
	case l.UseLabel && l.Label == "":
		return fmt.Errorf("--use-label needs --label")
	case l.FixedSize > 0 && (l.ExtraSpace > 0 || l.OverheadFactor > 0):
		return fmt.Errorf("--fixed-size excludes --extra-space and --overhead-factor")
	}
	if l.FAT() && l.FSUUID != "" {
		digits := strings.TrimPrefix(strings.ToUpper(l.FSUUID), "0X")
		n, err := strconv.ParseUint(digits, 16, 32)
		if err != nil {
			return diag.Userf(diag.Pos{}, "--fsuuid %s is not the 32 bit hexadecimal number that a FAT has for a serial", l.FSUUID).
				WithHint("write eight digits, e.g. 0xABCD1234")
		}
		l.FSUUID = fmt.Sprintf("0x%08X", n)
	}
	if l.FixedSize == 0 {
		if !l.hasExtra {
			l.ExtraSpace = defaultExtraSpace
		}
		if !l.hasOverhead {
			l.OverheadFactor = defaultOverhead
		}
	}
	return nil
}

// hints says where wic reads the line differently from what it seems to say.
func (p *parser) hints(l *partLine, args []string) {
	if l.excludes > 1 {
		p.warn(l.Pos, "only the last --exclude-path counts (%s): write all paths behind one", strings.Join(l.ExcludePaths, " "))
	}
	for _, a := range args {
		if name, _, ok := strings.Cut(a, "="); ok && (name == "--extra-space" || name == "--overhead-factor") {
			p.warn(l.Pos, "wic itself ignores %s when its value follows an equals sign: write a space there to have the same size from both", name)
		}
	}
}
