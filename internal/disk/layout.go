// SPDX-License-Identifier: MIT

package disk

import (
	"n3x/internal/diag"
	"n3x/internal/disk/gpt"
)

// place puts the partitions, whose sizes are known, one behind the other (wic's layout_partitions), and gives the size
// of the disk in sectors.
func place(parts []*Part, table string, extraSpace int64) (sectors int64, err error) {
	at := int64(1)
	if table != "msdos" {
		at = gpt.Overhead
	}
	for _, p := range parts {
		if p.logical {
			at += gpt.EBRGap
		}
		if unit := p.Align * 1024 / gpt.SectorSize; unit > 0 {
			at = (at + unit - 1) / unit * unit
		}
		if p.Offset != nil {
			want := *p.Offset / gpt.SectorSize
			if want*gpt.SectorSize != *p.Offset {
				return 0, diag.Userf(p.Pos, "partition %s: --offset %d is not a multiple of the sector size %d", p.Name(), *p.Offset, gpt.SectorSize)
			}
			if want < at {
				return 0, diag.Userf(p.Pos, "partition %s cannot begin at --offset %d: the next free byte is %d", p.Name(), *p.Offset, at*gpt.SectorSize)
			}
			at = want
		}
		p.start, p.sectors = at, p.sizeKiB*1024/gpt.SectorSize
		at += p.sectors
	}
	if table != "msdos" {
		at += gpt.Overhead
	}
	return at + (extraSpace+gpt.SectorSize-1)/gpt.SectorSize, nil
}

// number gives the listed partitions their numbers in the table, and the extended partition of an msdos table its slot
// (0 without one).
func number(parts []*Part, table string) (extended int) {
	listed := 0
	for _, p := range parts {
		if !p.NoTable {
			listed++
		}
	}
	gptNumber, primary, logical := 0, 0, 4
	for _, p := range parts {
		p.logical = table == "msdos" && (p.Logical || primary > 3 || extended == 0 && primary >= 3 && listed > 4)
		switch {
		case p.NoTable:
		case table != "msdos":
			gptNumber++
			p.Number = gptNumber
		case p.logical:
			if extended == 0 {
				primary++
				extended = primary
			}
			logical++
			p.Number = logical
		default:
			primary++
			p.Number = primary
		}
	}
	return extended
}

// table makes the partition table of the placed partitions.
func (b *Builder) table(sectors int64) (*gpt.Table, error) {
	o := b.o
	ids := Identifiers{Name: o.Name, Epoch: o.Epoch}
	t := &gpt.Table{
		Kind: tableKinds[o.WKS.Bootloader.PTable], Sectors: uint64(sectors), ExtendedNumber: b.extended,
		DiskID: gpt.GUID(ids.UUID("disk")), Signature: ids.signature(),
	}
	for _, p := range b.parts {
		if p.NoTable {
			continue
		}
		e := gpt.Partition{
			Number: p.Number, Start: uint64(p.start), Sectors: uint64(p.sectors), Logical: p.logical,
			Type: p.gptType(), ID: p.partGUID, Name: p.tableName(), MBRType: p.mbrType(), InMBR: p.MBR,
		}
		if p.sectors == 0 {
			return nil, diag.Userf(p.Pos, "the partition %s has a size of zero", p.Name()).WithHint("give it --size or --fixed-size, or --no-table")
		}
		if p.Active && t.Kind == gpt.MBR {
			for i := range t.Partitions {
				t.Partitions[i].Active = false // the last --active counts, as with parted
			}
		}
		e.Active = p.Active
		if p.Active {
			e.Attrs |= gpt.LegacyBoot
		}
		if p.Hidden {
			e.Attrs = gpt.Required // alone: wic sets it over --active
		}
		t.Partitions = append(t.Partitions, e)
	}
	return t, nil
}

var tableKinds = map[string]gpt.Kind{"msdos": gpt.MBR, "gpt": gpt.GPT, "gpt-hybrid": gpt.Hybrid}

// gptType is --part-type, or what parted chooses for the file system.
func (p *Part) gptType() gpt.GUID {
	if g, err := gpt.TypeOf(p.PartType); p.PartType != "" && err == nil {
		return g
	}
	switch {
	case p.FAT():
		return gpt.BasicData
	case p.FSType == "swap":
		return gpt.LinuxSwap
	}
	return gpt.LinuxData
}

// mbrType is --system-id, or what wic and parted choose for the file system.
func (p *Part) mbrType() byte {
	switch {
	case p.SystemID != 0:
		return byte(p.SystemID)
	case p.FSType == "vfat":
		return 0x0c
	case p.FSType == "msdos":
		return 0x06
	case p.FSType == "swap":
		return 0x82
	}
	return 0x83
}
