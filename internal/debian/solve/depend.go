package solve

import "n3x/internal/debian"

// holds reports whether version v fulfils the restriction of dependency d; an unversioned provision has v == "".
func (d *depNode) holds(v debian.Version) bool {
	if d.op == opNone || d.version == "" {
		return true
	}
	if v == "" {
		return false
	}
	if v == d.version {
		return d.op == opEqual || d.op == opLessEq || d.op == opGreaterEq
	}
	c := v.Compare(d.version)
	switch d.op {
	case opLess:
		return c < 0
	case opLessEq:
		return c <= 0
	case opEqual:
		return c == 0
	case opGreaterEq:
		return c >= 0
	case opGreater:
		return c > 0
	}
	return c != 0
}

func (c *cache) heldBy(d *depNode, v int32) bool {
	return d.op == opNone || d.holds(c.version(v))
}

// ignores reports whether negative dependency d does not mean package p: no package excludes itself, and the
// architectures of a Multi-Arch: same package exclude one another only by what is implied.
func (c *cache) ignores(d *depNode, p int32) bool {
	if !d.kind.negative() {
		return false
	}
	owner := c.vers[d.owner].pkg
	if c.pkgs[owner].group != c.pkgs[p].group {
		return false
	}
	return owner == p || c.vers[d.owner].multi&multiSame != 0 && !d.implicit
}

func (c *cache) ignoresProvision(d *depNode, r *prvNode) bool {
	if !d.kind.negative() {
		return false
	}
	same := c.pkgs[c.vers[r.owner].pkg].group == c.pkgs[c.vers[d.owner].pkg].group
	return same || d.implicit
}

// targets lists every version of any package that d speaks of, its own name first.
func (c *cache) targets(d *depNode) []int32 {
	var list []int32
	if !c.ignores(d, d.target) {
		for v := c.pkgs[d.target].versions; v != 0; v = c.vers[v].next {
			if c.heldBy(d, v) {
				list = append(list, v)
			}
		}
	}
	for r := c.pkgs[d.target].provides; r != 0; r = c.prvs[r].next {
		if prv := &c.prvs[r]; !c.ignoresProvision(d, prv) && d.holds(prv.version) {
			list = append(list, prv.owner)
		}
	}
	return list
}

// smartTarget is the one package that stands behind d, as far as that is clear; else its own target.
func (c *cache) smartTarget(d *depNode) int32 {
	node := &c.pkgs[d.target]
	if node.provides == 0 || node.versions != 0 {
		return d.target
	}
	owner := c.vers[d.owner].pkg
	r := node.provides
	for r != 0 && c.vers[c.prvs[r].owner].pkg == owner {
		r = c.prvs[r].next
	}
	if r == 0 {
		return d.target
	}
	return c.vers[c.prvs[r].owner].pkg
}

// group is the end of the or-group that starts with dependency d, and the dependency after it.
func (c *cache) orGroup(d int32) (end, next int32) {
	for c.deps[d].or && c.deps[d].next != 0 {
		d = c.deps[d].next
	}
	return d, c.deps[d].next
}
