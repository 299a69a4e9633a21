package debhelper

import (
	"bytes"
	"encoding/binary"
	"path"
	"slices"
	"strings"
	"time"
)

// stripNondeterminism is dh_strip_nondeterminism(1): files of the kinds that hold times are beyond, unless it is seen
// that they hold none.
func (b *builder) stripNondeterminism() error {
	for _, name := range b.tree.files("") {
		n := b.tree.nodes[name]
		switch ext := strings.TrimPrefix(path.Ext(name), "."); ext {
		case "gz", "dz":
			if err := b.stripGzip(name, n); err != nil {
				return err
			}
		case "a", "cpio", "mo", "gmo", "jar", "war", "hpi", "apk", "sym", "jmod", "bflt", "png", "zip", "pk3", "epub", "whl", "xpi", "htb", "zhfst", "par", "codadef":
			if ok, err := b.harmless(n, ext); err != nil || !ok {
				if err == nil {
					err = beyond("%s is of a kind from which times may have to be removed", name)
				}
				return err
			}
		case "html":
			head, err := n.head(2048)
			if err != nil {
				return err
			}
			if bytes.Contains(bytes.ToLower(head), []byte("javadoc")) {
				return beyond("%s was made by javadoc, whose times are removed", name)
			}
		}
		if strings.EqualFold(path.Ext(name), ".uimage") {
			return beyond("%s may be an image for U-Boot, from which times are removed", name)
		}
		head, err := n.head(256)
		if err != nil {
			return err
		}
		if line, rest, found := bytes.Cut(head, []byte("\n")); found && bytes.HasPrefix(line, []byte("#!")) && bytes.HasPrefix(rest, []byte("PK")) {
			return beyond("%s is a script with an archive, from which times are removed", name)
		}
	}
	return nil
}

// magic is how files begin that have times to remove, by the end of their names.
var magic = map[string][]string{
	"a": {"!<arch>\n", "!<thin>\n"}, "cpio": {"0707", "\xc7\x71", "\x71\xc7"}, "mo": {"\xde\x12\x04\x95", "\x95\x04\x12\xde"}, "png": {"\x89PNG"}, "bflt": {"bFLT"}, "jmod": {"JM"},
}

// harmless tells whether a file is not what its name says.
func (b *builder) harmless(n *node, ext string) (bool, error) {
	head, err := n.head(8)
	if err != nil {
		return false, err
	}
	if ext == "png" {
		return b.harmlessPNG(n)
	}
	begins := magic[strings.TrimPrefix(ext, "g")]
	if begins == nil {
		begins = []string{"PK"}
	}
	return !slices.ContainsFunc(begins, func(m string) bool { return bytes.HasPrefix(head, []byte(m)) }), nil
}

// harmlessPNG tells whether a picture has no chunk with a time, or with a text that is one.
func (b *builder) harmlessPNG(n *node) (bool, error) {
	data, err := n.read()
	if err != nil || !bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")) {
		return !bytes.HasPrefix(data, []byte("\x89PNG")), err
	}
	for data = data[8:]; len(data) >= 12; {
		size := uint64(binary.BigEndian.Uint32(data))
		if size+12 > uint64(len(data)) {
			return false, nil
		}
		kind, text := string(data[4:8]), data[8:8+size]
		if kind == "tIME" || kind == "tEXt" && (bytes.HasPrefix(text, []byte("date:")) || bytes.HasPrefix(text, []byte("Creation Time\x00"))) {
			return false, nil
		}
		data = data[12+size:]
	}
	return len(data) == 0, nil
}

// stripGzip takes the name out of a gzip header, and puts the build's time in place of another one.
func (b *builder) stripGzip(name string, n *node) error {
	head, err := n.head(10)
	if err != nil || len(head) < 10 || head[0] != 0x1f || head[1] != 0x8b {
		return err
	}
	const headerSum, extra, fileName, comment = 2, 4, 8, 16
	if head[3]&(headerSum|fileName) == 0 && bytes.Equal(head[4:8], []byte{0, 0, 0, 0}) {
		return nil
	}
	if head[3]&(headerSum|extra|comment) != 0 {
		return beyond("%s has more than a name and a time in its gzip header", name)
	}
	data, err := n.read()
	if err != nil {
		return err
	}
	rest := data[10:]
	if head[3]&fileName != 0 {
		end := bytes.IndexByte(rest, 0)
		if end < 0 {
			return beyond("%s is a broken gzip file", name)
		}
		rest = rest[end+1:]
	}
	head[3] &^= fileName
	if binary.LittleEndian.Uint32(head[4:]) != 0 {
		binary.LittleEndian.PutUint32(head[4:], uint32(b.stamp.Unix()))
	}
	n.inode.data, n.inode.file = append(head, rest...), ""
	n.inode.size, n.inode.mtime = int64(len(n.inode.data)), b.stamp
	return nil
}

// uncompressed are the ends of names, in lower case, of documents that dh_compress(1) leaves alone.
var uncompressed = []string{".xhtml", ".gif", ".png", ".jpg", ".jpeg", ".gz", ".taz", ".tgz", ".z", ".bz2", "-gz", "-z", "_z", ".epub", ".jar", ".zip",
	".odg", ".odp", ".odt", ".css", ".xz", ".lz", ".lzma", ".haddock", ".hs", ".woff", ".woff2", ".svg", ".svgz", ".js"}

// toCompress tells whether dh_compress(1) compresses a file of the package.
func (b *builder) toCompress(name string, size int64) bool {
	base := path.Base(name)
	lower := strings.ToLower(base)
	ends := func(list ...string) bool {
		return slices.ContainsFunc(list, func(s string) bool { return strings.HasSuffix(lower, s) })
	}
	switch {
	case strings.HasPrefix(name, "usr/share/info/"), strings.HasPrefix(name, "usr/share/man/"):
		return !ends(".gz", ".gif", ".png", ".jpg", ".jpeg")
	case strings.HasPrefix(name, "usr/share/fonts/X11/"):
		return strings.HasSuffix(base, ".pcf")
	case !strings.HasPrefix(name, "usr/share/doc/"):
		return false
	case strings.HasPrefix(name, "usr/share/doc/"+b.name+"/examples/"), strings.Contains(path.Dir(name)+"/", "/_sources/"):
		return false
	}
	if size <= 4096 && !strings.HasPrefix(base, "changelog") && !strings.HasPrefix(base, "NEWS") {
		return false
	}
	if base != "changelog.html" && strings.Contains(lower, ".htm") {
		return false
	}
	return !ends(uncompressed...) && lower != ".htaccess" &&
		!slices.Contains([]string{"index.sgml", "objects.inv", "search_index.json", "copyright"}, base) &&
		!strings.HasSuffix(base, ".map") && !strings.HasSuffix(base, ".devhelp2")
}

// compress is dh_compress(1): manual pages and large documents, hard links of them included; links to them follow.
func (b *builder) compress() error {
	done := map[*inode]*inode{}
	for _, name := range b.tree.files("") {
		n := b.tree.nodes[name]
		if !b.toCompress(name, n.size) {
			continue
		}
		z := done[n.inode]
		if z == nil {
			text, err := n.read()
			if err != nil {
				return err
			}
			packed := gzip9(text)
			z = &inode{mode: n.mode &^ 0o111, size: int64(len(packed)), mtime: n.mtime, data: packed}
			done[n.inode] = z
		}
		delete(b.tree.nodes, name)
		b.replace(name+".gz", z)
	}
	for changed := true; changed; {
		changed = false
		for _, name := range b.tree.names() {
			n := b.tree.nodes[name]
			if n.kind != symlink {
				continue
			}
			target := path.Clean(path.Dir(name) + "/" + n.target)
			if b.exists(target) || !b.exists(target+".gz") {
				continue
			}
			delete(b.tree.nodes, name)
			b.tree.put(strings.TrimSuffix(name, ".gz")+".gz", &node{kind: symlink, target: n.target + ".gz", inode: &inode{mtime: b.stamp}})
			changed = true
		}
	}
	return nil
}

// exists tells whether a path leads to something in the package, along links within it.
func (b *builder) exists(name string) bool {
	for range 40 {
		n := b.tree.nodes[name]
		if n == nil || n.kind != symlink {
			return n != nil
		}
		if strings.HasPrefix(n.target, "/") {
			return false
		}
		name = path.Clean(path.Dir(name) + "/" + n.target)
	}
	return false
}

// clamp makes a time no later than the build's.
func (b *builder) clamp(t time.Time) time.Time {
	if t.After(b.stamp) {
		return b.stamp
	}
	return t
}
