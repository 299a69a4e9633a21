// SPDX-License-Identifier: MIT

package fstree

import (
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Clone is a tree that can be edited without changing t. Nodes are shared: edits replace them.
func (t *Tree) Clone() *Tree {
	c := &Tree{nodes: make(map[string]*Node, len(t.nodes))}
	for p, n := range t.nodes {
		c.nodes[p] = n
	}
	return c
}

// Len is the number of paths, with the root.
func (t *Tree) Len() int { return len(t.nodes) }

// Put sets the node at p, with any missing parents as directories of root's. What was there goes, with all below it,
// unless both are directories.
func (t *Tree) Put(p string, n *Node) error {
	p = clean(p)
	if old, ok := t.nodes[p]; ok && old.IsDir() && !n.IsDir() {
		if p == "." {
			return fmt.Errorf("the root of a tree must be a directory")
		}
		t.remove(p)
	}
	for dir := path.Dir(p); ; dir = path.Dir(dir) {
		old, ok := t.nodes[dir]
		if ok && !old.IsDir() {
			return fmt.Errorf("/%s is not a directory", dir)
		}
		if !ok {
			t.nodes[dir] = NewDir(0o755, n.MTime)
		}
		if dir == "." {
			break
		}
	}
	t.nodes[p] = n
	return nil
}

// Resolve gives the path of the tree that p leads to when all symbolic links of it, also the last, are followed inside
// the tree. ok is false when there is nothing.
func (t *Tree) Resolve(p string) (resolved string, ok bool) { return t.resolve(p, true, 40) }

func (t *Tree) resolve(p string, last bool, budget int) (string, bool) {
	at := "."
	parts := strings.Split(clean(p), "/")
	for i, part := range parts {
		next := clean(at + "/" + part)
		n, ok := t.nodes[next]
		if !ok {
			return next, false
		}
		if n.Type() == unix.S_IFLNK && (last || i < len(parts)-1) {
			if budget--; budget < 0 {
				return next, false
			}
			target := n.Target
			if !path.IsAbs(target) {
				target = path.Dir("/"+next) + "/" + target
			}
			if next, ok = t.resolve(target, true, budget); !ok {
				return next, false
			}
		}
		at = next
	}
	return at, true
}

// Remove takes p out, with everything below it; with a slash at its end only what is below. Links in p's parents
// are followed, p itself only when it ends in a slash. It reports whether there was something.
func (t *Tree) Remove(p string) bool {
	contentOnly := strings.HasSuffix(p, "/")
	real, ok := t.resolve(p, contentOnly, 40)
	if !ok {
		return false
	}
	if real == "." || contentOnly {
		keep := t.nodes[real]
		t.remove(real)
		t.nodes[real] = keep
		return true
	}
	t.remove(real)
	return true
}

// remove takes the path p and all below it out.
func (t *Tree) remove(p string) {
	prefix := p + "/"
	if p == "." {
		prefix = ""
	}
	delete(t.nodes, p)
	for q := range t.nodes {
		if strings.HasPrefix(q, prefix) {
			delete(t.nodes, q)
		}
	}
}

// Sub is the tree below the directory dir, whose attributes become the new root's.
func (t *Tree) Sub(dir string) (*Tree, error) {
	real, ok := t.Resolve(dir)
	if !ok {
		return nil, fmt.Errorf("there is no directory %s", dir)
	}
	if !t.nodes[real].IsDir() {
		return nil, fmt.Errorf("%s is not a directory", dir)
	}
	if real == "." {
		return t.Clone(), nil
	}
	s := &Tree{nodes: map[string]*Node{".": t.nodes[real]}}
	for p, n := range t.nodes {
		if rest, below := strings.CutPrefix(p, real+"/"); below {
			s.nodes[rest] = n
		}
	}
	return s, nil
}

// Merge puts a copy of everything in o below the directory at, over what is there. With asRoot all of it belongs to root.
func (t *Tree) Merge(o *Tree, at string, asRoot bool) error {
	copies := map[*Node]*Node{} // new nodes, so that copies are no hard links to what o was taken from
	for _, e := range o.Entries() {
		n := copies[e.Node]
		if n == nil {
			c := *e.Node
			if asRoot {
				c.UID, c.GID = 0, 0
			}
			n = &c
			copies[e.Node] = n
		}
		p := t.place(join(clean(at), e.Path), n.IsDir())
		if err := t.Put(p, n); err != nil {
			return err
		}
	}
	return nil
}

// place is where something written to p ends up: links in its parents are followed, and for a directory also p itself.
func (t *Tree) place(p string, dir bool) string {
	at := "."
	parts := strings.Split(clean(p), "/")
	for i, part := range parts {
		next := clean(at + "/" + part)
		if real, ok := t.resolve(next, true, 40); ok && t.nodes[real].IsDir() && (dir || i < len(parts)-1) {
			next = real
		}
		at = next
	}
	return at
}
