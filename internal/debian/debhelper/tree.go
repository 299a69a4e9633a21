package debhelper

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	regular   = 'f'
	directory = 'd'
	symlink   = 'l'
)

// node is a name in the package; hard links are nodes with the same inode.
type node struct {
	kind   byte
	target string // of a symbolic link
	*inode
}

// inode is what a name stands for: content on disk (file) or in memory (data).
type inode struct {
	mode  int64
	size  int64
	mtime time.Time
	file  string
	data  []byte
}

// fileID identifies a file on its file system.
type fileID struct{ dev, inode uint64 }

// hardLinked tells whether a file has more than one name.
func hardLinked(info fs.FileInfo) (fileID, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Nlink < 2 {
		return fileID{}, false
	}
	return fileID{uint64(st.Dev), st.Ino}, true //nolint:unconvert // Dev is int32 on some architectures
}

func (n *inode) open() (io.ReadCloser, error) {
	if n.file == "" {
		return io.NopCloser(bytes.NewReader(n.data)), nil
	}
	return os.Open(n.file)
}

func (n *inode) read() ([]byte, error) {
	if n.file == "" {
		return n.data, nil
	}
	return os.ReadFile(n.file)
}

// head reads up to max bytes.
func (n *inode) head(max int64) ([]byte, error) {
	f, err := n.open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, max))
}

// tree is the package's files by their names without a leading slash. The root itself is not in it.
type tree struct {
	nodes  map[string]*node
	inodes map[fileID]*inode // files on disk that have several names
}

func newTree() *tree { return &tree{map[string]*node{}, map[fileID]*inode{}} }

// names are all names, folders before what they hold, siblings in byte order.
func (t *tree) names() []string {
	out := make([]string, 0, len(t.nodes))
	for name := range t.nodes {
		out = append(out, name)
	}
	slices.SortFunc(out, func(a, b string) int {
		return strings.Compare(strings.ReplaceAll(a, "/", "\x00"), strings.ReplaceAll(b, "/", "\x00"))
	})
	return out
}

// below are the names below a folder, in order.
func (t *tree) below(dir string) []string {
	var out []string
	for _, name := range t.names() {
		if strings.HasPrefix(name, dir+"/") {
			out = append(out, name)
		}
	}
	return out
}

// files are the regular files, in order, with those below dir only unless it is "".
func (t *tree) files(dir string) []string {
	list := t.names()
	if dir != "" {
		list = t.below(dir)
	}
	return slices.DeleteFunc(list, func(n string) bool { return t.nodes[n].kind != regular })
}

func (t *tree) isDir(name string) bool {
	return t.nodes[name] != nil && t.nodes[name].kind == directory
}

// mkdir adds a folder; one that is there keeps its time.
func (t *tree) mkdir(name string, mtime time.Time) {
	if t.isDir(name) {
		return
	}
	t.nodes[name] = &node{kind: directory, inode: &inode{mode: 0o755, mtime: mtime}}
}

func (t *tree) put(name string, n *node) { t.nodes[name] = n }

// add is install_file of debhelper: a file with a mode, and the folders above it.
func (b *builder) add(name string, mode int64, data []byte) error {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if n := b.tree.nodes[dir]; n != nil && n.kind != directory {
			if n.kind == symlink {
				return beyond("%s lies below the symbolic link %s", name, dir)
			}
			return fmt.Errorf("%s cannot be installed: %s is a file of the package", name, dir)
		}
		b.tree.mkdir(dir, b.stamp)
	}
	if b.tree.isDir(name) {
		return beyond("%s is to be installed, and the package has a folder of that name", name)
	}
	if n := b.tree.nodes[name]; n != nil && n.kind == symlink {
		return beyond("%s is a symbolic link where a file is to be installed", name)
	}
	b.tree.put(name, &node{kind: regular, inode: &inode{mode: mode, size: int64(len(data)), mtime: b.stamp, data: data}})
	return nil
}
