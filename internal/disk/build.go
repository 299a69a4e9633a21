// SPDX-License-Identifier: MIT

package disk

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"n3x/internal/diag"
	"n3x/internal/disk/fstree"
	"n3x/internal/disk/gpt"
	"n3x/internal/disk/wks"
)

// Source makes the content of a partition: what wic calls a source plugin.
type Source interface {
	// Prepare makes p's content as a file in b.Dir, or takes one that exists.
	Prepare(ctx context.Context, b *Builder, p *Part) (Content, error)
}

// Content is what a source has made.
type Content struct {
	Path string // the file, "" when nothing is written to the partition
	KiB  int64  // what the partition must hold

	// Mapped are the ranges of the file that mean something, zeros too. Nil: every block of it that is not all zeros.
	Mapped []gpt.Range

	borrowed bool // Path is not the builder's to move
}

// Builder is a disk being built, as its sources see it.
type Builder struct {
	Dir    string         // scratch folder
	Loader wks.Bootloader // the layout's boot loader line

	o        *Options
	parts    []*Part
	extended int
	fstab    string       // the lines to add
	newtab   *fstree.Node // the whole new file, nil when it stays as it is
	trees    map[string]*fstree.Tree
	ctx      context.Context
}

// Build makes the disk image.
func Build(ctx context.Context, o Options) (*Result, error) {
	b := &Builder{o: &o, Loader: o.WKS.Bootloader, trees: map[string]*fstree.Tree{}, ctx: ctx}
	var err error
	if b.parts, b.extended, err = newParts(&o); err != nil {
		return nil, err
	}
	if err := b.checkSources(); err != nil {
		return nil, err
	}
	if b.Dir, err = os.MkdirTemp(o.WorkDir, "disk-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(b.Dir)
	b.fstab = fstabLines(b.parts)
	if b.newtab, err = b.newFstab(); err != nil {
		return nil, err
	}
	for _, p := range b.parts {
		if err := b.prepare(ctx, p); err != nil {
			return nil, err
		}
	}
	sectors, err := place(b.parts, o.WKS.Bootloader.PTable, o.ExtraSpace)
	if err != nil {
		return nil, err
	}
	table, err := b.table(sectors)
	if err != nil {
		return nil, err
	}
	o.Progress.Step("assembling the disk image")
	return b.assemble(ctx, table)
}

// checkSources refuses, before any work, sources that are not there.
func (b *Builder) checkSources() error {
	known := []string{"rootfs", "rawcopy", "empty"}
	for name := range b.o.Sources {
		known = append(known, name)
	}
	sort.Strings(known)
	if s := b.Loader.Source; s != "" && b.source(s) == nil {
		return unknownSource(b.Loader.Pos, s, known)
	}
	for _, p := range b.parts {
		if p.Source != "" && b.source(p.Source) == nil {
			return unknownSource(p.Pos, p.Source, known)
		}
		if p.FSType == "btrfs" && (p.Source == "" || p.Source == "rootfs") {
			// mkfs.btrfs draws identifiers and looks at the clock, and nothing can stop it.
			return diag.Userf(p.Pos, "partition %s: file systems of type btrfs are not supported", p.Name()).
				WithHint("use ext4, or make the file system yourself and take it by --source rawcopy")
		}
	}
	return nil
}

func unknownSource(pos diag.Pos, name string, known []string) error {
	e := diag.Userf(pos, "the source plugin %q is not supported", name)
	if near := diag.Nearest(name, known); near != "" {
		return e.WithHint("did you mean %s?", near)
	}
	return e.WithHint("supported are %s", strings.Join(known, ", "))
}

func (b *Builder) source(name string) Source {
	switch name {
	case "rootfs":
		return rootfsSource{}
	case "rawcopy":
		return rawcopySource{}
	case "empty":
		return emptySource{}
	}
	return b.o.Sources[name]
}

// prepare makes the content of one partition and decides its size.
func (b *Builder) prepare(ctx context.Context, p *Part) error {
	b.o.Progress.Step("partition " + p.Name())
	var c Content
	var err error
	if p.Source != "" {
		c, err = b.source(p.Source).Prepare(ctx, b, p)
	} else {
		c, err = b.emptyFS(ctx, p)
	}
	if err != nil {
		return located(p, err)
	}
	if p.FixedSize > 0 && c.KiB > p.FixedSize {
		return tooSmall(p, c.KiB, p.FixedSize)
	}
	p.content, p.sizeKiB = c, c.KiB
	if p.FixedSize > 0 {
		p.sizeKiB = p.FixedSize
	}
	return nil
}

// tooSmall is the error for content that does not fit its partition.
func tooSmall(p *Part, need, given int64) error {
	e := diag.Userf(p.Pos, "partition %s is too small: its content needs %d KiB, the layout gives it %d KiB", p.Name(), need, given)
	if p.FixedSize > 0 {
		return e.WithHint("raise --fixed-size to at least %dK", need)
	}
	return e.WithHint("raise --size to at least %dK, or --extra-space by %dK", need, need-given)
}

// located says which partition a failure belongs to.
func located(p *Part, err error) error {
	if e, ok := err.(*diag.Error); ok {
		if e.Pos.IsZero() {
			e.Pos = p.Pos
		}
		return e
	}
	return diag.Failedf(p.Pos, "make partition %s: %w", p.Name(), err)
}

// Var is a variable as wic sees it, "" when it is not set.
func (b *Builder) Var(name string) string {
	if b.o.Var == nil {
		return ""
	}
	v, _ := b.o.Var(name)
	return v
}

// RootDevice is the kernel's root= argument's value, "" when no partition is mounted at /.
func (b *Builder) RootDevice() string { return rootDevice(b.parts, b.Loader.PTable) }

// Epoch is SOURCE_DATE_EPOCH.
func (b *Builder) Epoch() int64 { return b.o.Epoch }

// Run starts a program of the tools tree.
func (b *Builder) Run(ctx context.Context, c Command) error {
	if b.o.Runner == nil {
		return fmt.Errorf("no tools tree to run %s in", c.Argv[0])
	}
	c.Env = append([]string{fmt.Sprintf("SOURCE_DATE_EPOCH=%d", b.o.Epoch), "TZ=UTC", "LC_ALL=C"}, c.Env...)
	return b.o.Runner.Run(ctx, c)
}

// Warn tells the user something about the layout.
func (b *Builder) Warn(pos diag.Pos, format string, args ...any) {
	if b.o.Warn != nil {
		b.o.Warn(pos, fmt.Sprintf(format, args...))
	}
}

// Rootfs is the tree of the image's root file system. It must not be changed: clone it.
func (b *Builder) Rootfs() (*fstree.Tree, error) {
	if b.o.Rootfs == "" {
		return nil, fmt.Errorf("the image has no root file system")
	}
	return b.Tree(b.o.Rootfs)
}

// Tree is the tree of a folder, read once. It must not be changed: clone it.
func (b *Builder) Tree(dir string) (*fstree.Tree, error) {
	dir = filepath.Clean(dir)
	if t := b.trees[dir]; t != nil {
		return t, nil
	}
	t, err := fstree.Scan(b.ctx, dir, b.o.Epoch)
	if err != nil {
		return nil, err
	}
	if b.o.Edit != nil && dir == filepath.Clean(b.o.Rootfs) {
		if err := b.o.Edit(t); err != nil {
			return nil, err
		}
	}
	b.trees[dir] = t
	return t, nil
}

// File is the place of a file that the layout or a variable names: relative names are in the deploy folder.
func (b *Builder) File(name string) string {
	if !filepath.IsAbs(name) {
		return filepath.Join(b.o.DeployDir, name)
	}
	if b.o.Resolve != nil {
		return b.o.Resolve(name)
	}
	return name
}

// Canned is the content of a file that the layout names among the canned ones.
func (b *Builder) Canned(name string) ([]byte, error) {
	if b.o.Canned == nil {
		return nil, fmt.Errorf("there is no folder to look %s up in", name)
	}
	_, data, err := b.o.Canned(name)
	return data, err
}

// DeployDir is the folder of kernels, boot files and images.
func (b *Builder) DeployDir() string { return b.o.DeployDir }
