// SPDX-License-Identifier: MIT

// Package disk turns a parsed kickstart file and a root filesystem into a partitioned disk image.
//
// Input is [Options]: the layout (disk/wks), the tree of the root filesystem as a folder that this process can read, the
// deploy folder, the variables that wic sees, and a [Runner] for the mkfs programs of the tools tree. Output is one sparse
// raw image (.wic), on request its block map (.wic.bmap) and the partitions' images (.wic.p1 ...), and a [Result].
// The same input gives the same bits: every identifier that the layout does not fix derives from the image's name and
// SOURCE_DATE_EPOCH, trees are read in sorted order, and times are clamped. Either all of the output appears or none of it.
//
// Sources of partitions (wic's source plugins) are [Source] values: rootfs, rawcopy and empty are here, those that need a
// boot loader come from outside by [Options.Sources]; any other is refused by name.
//
// Mirrors wic's partition.py, plugins/imager/direct.py and plugins/source/{rootfs,rawcopy,empty}.py in scripts/lib/wic of
// ISAR. It differs where wic is not reproducible (identifiers; sizes counted as on ext4 rather than by du on the build
// host) and in fstab, where --use-uuid gives PARTUUID= unless the layout fixes --fsuuid.
package disk

import (
	"context"
	"io"
	"os"

	"n3x/internal/diag"
	"n3x/internal/disk/fstree"
	"n3x/internal/disk/wks"
	"n3x/internal/progress"
)

// Options describe one disk image.
type Options struct {
	WKS    *wks.File
	Name   string // the image's full name, e.g. "isar-k3s-image-base-debian-trixie-qemuamd64"; identifiers derive from it
	Epoch  int64  // SOURCE_DATE_EPOCH
	Output string // the image to write, e.g. ".../isar-k3s-image-base-debian-trixie-qemuamd64.wic"

	// WorkDir is an existing folder for the partitions' images while they are made; it is left as it was.
	WorkDir string

	Rootfs     string                   // folder of the root filesystem (IMAGE_ROOTFS)
	Edit       func(*fstree.Tree) error // changes the tree of Rootfs once it has been read; nil changes nothing
	Mode       os.FileMode              // of the files that are written; 0 is 0644
	RootfsDirs map[string]string        // further names for --rootfs-dir and --include-path
	DeployDir  string                   // DEPLOY_DIR_IMAGE: relative paths of rawcopy and boot files start here

	// Var is a variable as wic sees it, e.g. ROOTFS_SIZE or IMAGE_EFI_BOOT_FILES. Nil knows none.
	Var func(name string) (value string, ok bool)
	// Resolve maps an absolute path that the layout names to one of this process, e.g. into the imager's tree. Nil changes nothing.
	Resolve func(path string) string

	// Canned finds a file that the layout names among the canned ones, e.g. bootloader --configfile. Nil finds none.
	Canned func(name string) (path string, data []byte, err error)

	Sources map[string]Source // further source plugins by name, e.g. "bootimg-efi-isar"
	Runner  Runner

	Bmap             bool  // also write Output.bmap
	DeployPartitions bool  // also write Output.p<number>
	NoFstabUpdate    bool  // wic's --no-fstab-update
	ExtraSpace       int64 // bytes behind the last partition, wic's --extra-space

	Warn     func(pos diag.Pos, text string) // nil is silent
	Progress *progress.Task                  // nil is silent
}

// Runner starts a program of the tools tree, as uid 0, without network, and waits for it.
type Runner interface {
	Run(ctx context.Context, c Command) error
}

// Command is one program run.
type Command struct {
	// Packages are the Debian packages that hold the program and its data, as apt-get takes them, e.g. "e2fsprogs".
	Packages []string
	Argv     []string
	Env      []string  // NAME=value, besides PATH
	Stdin    io.Reader // nil = empty
	Stdout   io.Writer // nil = to the log with stderr
	Binds    []Bind
}

// Bind shows a folder or file of this process to the program.
type Bind struct {
	Source, Target string
	ReadOnly       bool
}

// Result is what was built.
type Result struct {
	Output     string
	Bmap       string // "" when none was asked for
	Size       int64  // bytes
	RootDevice string // the kernel line's root=, "" when no partition is mounted at /
	Fstab      string // the lines that were added, "" when none
	Partitions []Partition
}

// Partition is one line of the layout as it lies on the disk.
type Partition struct {
	Number     int // 0 when not in the table
	Mountpoint string
	Label      string
	FSType     string
	Start      int64  // sectors of 512 bytes
	Sectors    int64  //
	UUID       string // GPT partition GUID, or the MBR's PARTUUID
	FSUUID     string
	File       string // the partition's own image, "" when not asked for or without content
}
