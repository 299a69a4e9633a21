package debhelper

import (
	"archive/tar"
	"bytes"
	"crypto/md5"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"n3x/internal/debian/deb"
)

// refuseELF leaves programs and libraries to the real dh_strip(1) and dh_shlibdeps(1), which look at packages of one
// architecture only.
func (b *builder) refuseELF() error {
	if b.arch == "all" {
		return nil
	}
	for _, name := range b.tree.files("") {
		n := b.tree.nodes[name]
		head, err := n.head(20)
		if err != nil {
			return err
		}
		if base := path.Base(name); strings.HasPrefix(base, "lib") && strings.HasSuffix(base, ".a") {
			return beyond("%s is a static library", name)
		}
		if len(head) < 20 || string(head[:4]) != elf.ELFMAG {
			continue
		}
		var order binary.ByteOrder = binary.LittleEndian
		if elf.Data(head[elf.EI_DATA]) == elf.ELFDATA2MSB {
			order = binary.BigEndian
		}
		if t := elf.Type(order.Uint16(head[16:])); t == elf.ET_EXEC || t == elf.ET_DYN {
			return beyond("%s is a program or shared library of one architecture", name)
		}
	}
	return nil
}

// finish is dh_installdeb(1), dh_gencontrol(1), dh_md5sums(1) and dh_builddeb(1).
func (b *builder) finish() (*Package, error) {
	var control []deb.ControlFile
	add := func(name string, mode int64, data []byte) {
		if data != nil {
			control = append(control, deb.ControlFile{Name: name, Mode: mode, Data: data})
		}
	}
	for _, name := range maintainerScripts {
		text, err := b.maintainerScript(name)
		if err != nil {
			return nil, err
		}
		if text != nil && !bytes.HasPrefix(text, []byte("#!")) {
			b.notes = append(b.notes, name+" does not begin with #!, so that dpkg cannot run it on every system")
		}
		add(name, 0o755, text)
	}
	conffiles := b.conffiles()
	add("conffiles", 0o644, conffiles)
	triggers, _, err := b.optional(b.name + ".triggers")
	if err != nil {
		return nil, err
	}
	add("triggers", 0o644, append(triggers, b.trigger...))
	if len(b.unread) > 0 {
		return nil, beyond("debian/%s is for a debhelper command that n3x does not have", slices.Sorted(maps.Keys(b.unread))[0])
	}
	text, err := b.gencontrol(b.installedSize(control))
	if err != nil {
		return nil, err
	}
	add("control", 0o644, text)
	sums, err := b.md5sums(string(conffiles))
	if err != nil {
		return nil, err
	}
	add("md5sums", 0o644, sums)
	return &Package{Name: b.name, Version: b.log.version, Arch: b.arch, Notes: b.notes,
		Contents: deb.Contents{Control: control, Data: b.entries(), ModTime: b.stamp}}, nil
}

// conffiles are the regular files below /etc: dpkg asks before it replaces one that the administrator changed.
func (b *builder) conffiles() []byte {
	list := b.tree.files("etc")
	slices.Sort(list)
	var out []byte
	for _, name := range list {
		out = append(out, "/"+name+"\n"...)
	}
	return out
}

// installedSize counts KiB as dpkg-gencontrol(1) does when debhelper calls it: files and links by their size, each
// rounded up, anything else as 1. The folder DEBIAN is there by then, without control and md5sums.
func (b *builder) installedSize(control []deb.ControlFile) int64 {
	kib := func(n int64) int64 { return (n + 1023) / 1024 }
	size := int64(2) // the package's folder and DEBIAN
	seen := map[*inode]bool{}
	for _, n := range b.tree.nodes {
		switch {
		case n.kind == symlink:
			size += kib(int64(len(n.target)))
		case n.kind == directory:
			size++
		case !seen[n.inode]:
			size += kib(n.size)
			seen[n.inode] = true
		}
	}
	for _, f := range control {
		size += kib(int64(len(f.Data)))
	}
	return size
}

func (b *builder) md5sums(conffiles string) ([]byte, error) {
	skip := map[string]bool{}
	for line := range strings.SplitSeq(conffiles, "\n") {
		skip[strings.TrimPrefix(line, "/")] = true
	}
	out := []byte{}
	sums := map[*inode]string{}
	names := b.tree.files("")
	slices.Sort(names)
	for _, name := range names {
		n := b.tree.nodes[name].inode
		if skip[name] {
			continue
		}
		if sums[n] == "" {
			f, err := n.open()
			if err != nil {
				return nil, err
			}
			h := md5.New()
			_, err = io.Copy(h, f)
			f.Close()
			if err != nil {
				return nil, err
			}
			sums[n] = fmt.Sprintf("%x", h.Sum(nil))
		}
		out = append(out, sums[n]+"  "+name+"\n"...)
	}
	return out, nil
}

// entries are what data.tar holds. The first name of an inode is the file, the others are links to it.
func (b *builder) entries() []deb.Entry {
	var out []deb.Entry
	first := map[*inode]string{}
	for _, name := range b.tree.names() {
		n := b.tree.nodes[name]
		e := deb.Entry{Header: tar.Header{Name: "./" + name, Mode: n.mode, ModTime: b.clamp(n.mtime)}}
		switch n.kind {
		case directory:
			e.Typeflag = tar.TypeDir
		case symlink:
			e.Typeflag, e.Linkname = tar.TypeSymlink, n.target
		default:
			if f := first[n.inode]; f != "" {
				e.Typeflag, e.Linkname = tar.TypeLink, f
				break
			}
			first[n.inode] = e.Name
			e.Typeflag, e.Size, e.Open = tar.TypeReg, n.size, n.open
		}
		out = append(out, e)
	}
	return out
}
