// SPDX-License-Identifier: MIT

package disk

import (
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/google/uuid"

	"n3x/internal/diag"
	"n3x/internal/disk/gpt"
	"n3x/internal/disk/wks"
)

// Part is a partition while the disk is built: its line, and what was decided about it.
type Part struct {
	*wks.Part
	Number int    // in the table; 0 when not listed there
	UUID   string // GPT partition GUID or MBR PARTUUID, "" when the layout asks for none
	FSUUID string // of the file system; for FAT 0x and eight hex digits

	partGUID gpt.GUID
	content  Content
	sizeKiB  int64

	logical bool
	start   int64 // sectors
	sectors int64
}

// maxLabel is how long a file system's label may be, in bytes.
var maxLabel = map[string]int{"ext2": 16, "ext3": 16, "ext4": 16, "vfat": 11, "msdos": 11, "btrfs": 255, "swap": 16}

// newParts decides numbers and identifiers, and checks what can be checked before anything is made. extended is the
// number of an msdos extended partition, or 0.
func newParts(o *Options) (parts []*Part, extended int, err error) {
	table := o.WKS.Bootloader.PTable
	for _, w := range o.WKS.Parts {
		parts = append(parts, &Part{Part: w, FSUUID: w.FSUUID, UUID: w.UUID})
	}
	extended = number(parts, table)
	for _, p := range parts {
		if err := p.identify(o); err != nil {
			return nil, 0, err
		}
		if err := p.check(table); err != nil {
			return nil, 0, err
		}
		if p.Hidden && p.Active && o.Warn != nil {
			o.Warn(p.Pos, "--hidden replaces --active, as it does with wic")
		}
	}
	return parts, extended, unique(o, parts)
}

// identify gives the partition and its file system the identifiers that its line leaves open.
func (p *Part) identify(o *Options) error {
	ids := Identifiers{Name: o.Name, Epoch: o.Epoch}
	table := o.WKS.Bootloader.PTable
	role := fmt.Sprintf("partition %d", p.Index)
	p.partGUID = gpt.GUID(ids.UUID(role))
	if p.UUID != "" && table != "msdos" {
		g, err := gpt.ParseGUID(p.UUID)
		if err != nil {
			return diag.Userf(p.Pos, "--uuid: %w", err).WithHint("write 32 hex digits as 8-4-4-4-12, e.g. made by uuidgen")
		}
		p.partGUID = g
	}
	if p.UUID == "" && p.UseUUID {
		p.UUID = p.partGUID.String()
		if table == "msdos" {
			p.UUID = fmt.Sprintf("%08x-%02x", ids.signature(), p.Number)
		}
	}
	fs := ids.UUID(fmt.Sprintf("file system %d", p.Index))
	switch {
	case p.FSUUID == "" && p.FAT():
		p.FSUUID = fmt.Sprintf("0x%08X", fs.ID())
	case p.FSUUID == "":
		p.FSUUID = fs.String()
	case !p.FAT():
		if _, err := gpt.ParseGUID(p.FSUUID); err != nil {
			return diag.Userf(p.Pos, "--fsuuid: %w", err).WithHint("write 32 hex digits as 8-4-4-4-12, e.g. made by uuidgen")
		}
	}
	return nil
}

// check refuses what the partition table or the file system cannot express.
func (p *Part) check(table string) error {
	switch {
	case table == "msdos" && p.PartName != "":
		return diag.Userf(p.Pos, "--part-name needs a GPT: an msdos table has no partition names").WithHint("set bootloader --ptable gpt")
	case table == "msdos" && p.PartType != "":
		return diag.Userf(p.Pos, "--part-type needs a GPT").WithHint("use --system-id for the type byte of an msdos table, or set bootloader --ptable gpt")
	case p.MBR && table != "gpt-hybrid":
		return diag.Userf(p.Pos, "--mbr needs a table of both kinds").WithHint("set bootloader --ptable gpt-hybrid")
	case p.SystemID != 0 && table != "msdos":
		return diag.Userf(p.Pos, "--system-id is the type byte of an msdos table, the table here is %s", table).WithHint("use --part-type")
	case p.Hidden && table != "gpt":
		return diag.Userf(p.Pos, "--hidden needs bootloader --ptable gpt")
	}
	if table != "msdos" && len(utf16.Encode([]rune(p.tableName()))) > 36 {
		return diag.Userf(p.Pos, "the partition name %q is longer than the 36 characters of a GPT entry", p.tableName())
	}
	if p.PartType != "" {
		if _, err := gpt.TypeOf(p.PartType); err != nil {
			return atPos(p.Pos, err)
		}
	}
	if limit, ok := maxLabel[p.FSType]; ok && len(p.Label) > limit && !(p.Source == "rawcopy" && p.FSType == "none") {
		return diag.Userf(p.Pos, "the label %q is longer than the %d bytes that %s has for it", p.Label, limit, p.FSType).
			WithHint("shorten --label; a longer name can be given by --part-name")
	}
	return nil
}

// tableName is the name in a GPT entry; parted's word for a partition without any is what wic leaves there.
func (p *Part) tableName() string {
	switch {
	case p.PartName != "":
		return p.PartName
	case p.Label != "":
		return p.Label
	case p.Logical:
		return "logical"
	}
	return "primary"
}

// unique refuses identifiers by which the booted system would find the wrong partition.
func unique(o *Options, parts []*Part) error {
	labels, uuids, fsuuids := map[string]*Part{}, map[string]*Part{}, map[string]*Part{}
	for _, p := range parts {
		if other := labels[p.Label]; p.Label != "" && other != nil && (p.UseLabel || other.UseLabel) {
			return diag.Userf(p.Pos, "the label %q is used twice, and --use-label finds a partition by it", p.Label).
				WithNote("the other one is at %s", other.Pos)
		}
		labels[p.Label] = p
		if id := strings.ToLower(p.UUID); id != "" {
			if other := uuids[id]; other != nil {
				return diag.Userf(p.Pos, "the partition UUID %s is used twice", p.UUID).WithNote("the other one is at %s", other.Pos)
			}
			uuids[id] = p
		}
		id := strings.ToLower(p.FSUUID)
		if other := fsuuids[id]; other != nil && o.Warn != nil {
			o.Warn(p.Pos, fmt.Sprintf("the file system UUID %s is used at %s too: UUID= in fstab may mean either", p.FSUUID, other.Pos))
		}
		fsuuids[id] = p
	}
	return nil
}

// atPos gives a user's error its place in the layout.
func atPos(pos diag.Pos, err error) error {
	if e, ok := err.(*diag.Error); ok && e.Pos.IsZero() {
		e.Pos = pos
		return e
	}
	return diag.Userf(pos, "%w", err)
}

// Identifiers derive every identifier that a layout leaves open from the image's name and SOURCE_DATE_EPOCH.
type Identifiers struct {
	Name  string
	Epoch int64
}

// namespace is n3x's own for uuid5: uuid5(URL, "https://n3x.dev/disk").
var namespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://n3x.dev/disk"))

// UUID is the identifier of one role, e.g. "disk" or "file system 2" (RFC 9562 version 5).
func (i Identifiers) UUID(role string) uuid.UUID {
	return uuid.NewSHA1(namespace, []byte(fmt.Sprintf("%s\x00%d\x00%s", i.Name, i.Epoch, role)))
}

// signature is the MBR's disk signature, never 0.
func (i Identifiers) signature() uint32 {
	return max(1, i.UUID("disk signature").ID())
}

// hashSeed is the seed of an ext file system's hashed directories, as wic derives it from the file system's UUID.
func hashSeed(fsuuid string, epoch int64) string {
	return uuid.NewSHA1(uuid.MustParse(fsuuid), []byte(fmt.Sprint(epoch))).String()
}
