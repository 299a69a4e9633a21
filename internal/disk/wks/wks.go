// SPDX-License-Identifier: MIT

// Package wks reads kickstart files, the language in which wic's disk layouts are written.
//
// Input is the text of a .wks (or .wks.in) file, a lookup for the variables in it and one for the files it includes;
// output is a [File]: the partitions in their order and the boot loader's settings, every one with the line it stands in.
// All options of wic are known. A wrong line is refused with its place and, for a misspelt word, the nearest right one.
// What a known option then does, or that it does nothing yet, is the disk room's business.
//
// Mirrors wic's ksparser.py (and Python's argparse and shlex below it), with these differences: `partition` is `part`;
// a line may continue after a backslash; words from # on are a comment where a word may begin; a value given with = counts
// for --overhead-factor and --extra-space too; a variable that is not set is an error.
package wks

import (
	"strings"

	"n3x/internal/diag"
)

// File is a parsed kickstart file with what it includes.
type File struct {
	Path       string
	Parts      []*Part
	Bootloader Bootloader
}

// Part is one `part` line.
type Part struct {
	Pos   diag.Pos
	Index int // 1-based position among all part lines; wic's lineno

	Mountpoint string // "/", "/boot", "swap", a bare name, or ""
	Disk       string // --ondisk, default "sda"
	Active     bool
	Hidden     bool
	MBR        bool // --mbr: listed in the MBR of a gpt-hybrid disk too
	NoTable    bool
	Logical    bool // --type logical

	Align     int64  // KiB, 0 = none
	Offset    *int64 // bytes, nil = none
	Size      int64  // KiB
	FixedSize int64  // KiB

	ExtraSpace     int64   // KiB, default 10 MiB without --fixed-size
	OverheadFactor float64 // default 1.3 without --fixed-size

	FSType        string // default "vfat"
	FSOptions     string
	FSPassNo      string
	MkfsExtraOpts string
	Label         string
	UseLabel      bool
	FSUUID        string // as written; for FAT 0x and eight upper-case hex digits
	UUID          string
	UseUUID       bool
	PartName      string
	PartType      string // a sgdisk code or a GUID
	SystemID      int    // MBR type byte, 0 = none
	NoFstabUpdate bool

	Source          string
	Params          Params // --sourceparams
	RootfsDir       string
	ExcludePaths    []string
	IncludePaths    []Include
	ChangeDirectory string
}

// Include is one --include-path: what is copied, and where to below the root ("" = the root itself).
type Include struct{ Path, Target string }

// FAT reports whether the partition's file system is a FAT.
func (p *Part) FAT() bool { return p.FSType == "vfat" || p.FSType == "msdos" }

// Ext reports whether the partition's file system is ext2, ext3 or ext4.
func (p *Part) Ext() bool { return strings.HasPrefix(p.FSType, "ext") }

// Name is how messages call the partition: its mount point, name or label, else its number.
func (p *Part) Name() string {
	for _, s := range []string{p.Mountpoint, p.PartName, p.Label} {
		if s != "" {
			return s
		}
	}
	return "no. " + itoa(p.Index)
}

// Bootloader is the `bootloader` line, or its defaults.
type Bootloader struct {
	Pos        diag.Pos
	PTable     string // "msdos" (default), "gpt" or "gpt-hybrid"
	Append     string // kernel arguments, with the variable APPEND behind them
	Timeout    *int   // seconds, nil = not given
	ConfigFile string
	Source     string
}

// Params are source parameters in the order they were given.
type Params []Param

// Param is one key or key=value.
type Param struct {
	Key, Value string
	HasValue   bool
}

// Lookup gives the value of a key; the last one wins.
func (p Params) Lookup(key string) (value string, ok bool) {
	for _, q := range p {
		if q.Key == key {
			value, ok = q.Value, true
		}
	}
	return value, ok
}

// Options say where a kickstart file's variables and includes come from.
type Options struct {
	// Var is the value of a variable as wic sees it (WICVARS and APPEND), or for a template as its TEMPLATE_VARS give it.
	Var func(name string) (value string, ok bool)
	// Template marks a .wks.in file: all its variables are put in before anything else, unset ones as nothing.
	Template bool
	// Include finds a file that an include line names.
	Include func(name string) (path string, data []byte, err error)
	// Warn is told what wic would do differently from what the line seems to say. Nil is silent.
	Warn func(pos diag.Pos, text string)
}

// Parse reads the kickstart file at path (which is used in messages only), whose text is data.
func Parse(path string, data []byte, o Options) (*File, error) {
	p := &parser{o: o, file: &File{Path: path}}
	if err := p.parse(path, data, nil); err != nil {
		return nil, err
	}
	if len(p.file.Parts) == 0 {
		return nil, diag.Userf(diag.Pos{File: path}, "no partition in %s", path).
			WithHint("add a line such as: part / --source rootfs --fstype ext4 --align 1024")
	}
	if p.file.Bootloader.PTable == "" {
		p.file.Bootloader = Bootloader{Pos: diag.Pos{File: path}, PTable: "msdos"}
		p.warn(diag.Pos{File: path}, "no bootloader line: the partition table is msdos and no kernel arguments are set")
	}
	return p.file, nil
}
