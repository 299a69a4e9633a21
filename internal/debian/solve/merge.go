package solve

import (
	"strings"

	"n3x/internal/debian"
)

// merge adds one version to the graph. Installed versions come after all indices.
func (c *cache) merge(p *debian.Package, installed bool) {
	arch := c.archNumber(p.Architecture)
	if arch < 0 || arch >= int32(c.configured) {
		return // not for this machine
	}
	pkg := c.newPackage(p.Name, arch)
	prev, v := int32(0), c.pkgs[pkg].versions
	for ; v != 0; prev, v = v, c.vers[v].next {
		cmp := p.Version.Compare(c.version(v))
		if cmp > 0 {
			break
		}
		if cmp < 0 {
			continue
		}
		if c.sameVersion(v, p) {
			c.addOrigin(v, pkg, p, installed)
			return
		}
		if !installed && !c.vers[v].archive {
			break // an index goes before the status file
		}
	}
	v = c.newVersion(pkg, p, v)
	if prev == 0 {
		c.pkgs[pkg].versions = v
	} else {
		c.vers[prev].next = v
	}
	c.readRelations(v, p)
	c.addOrigin(v, pkg, p, installed)
	c.addSiblingRelations(pkg, v)
}

func (c *cache) newVersion(pkg int32, p *debian.Package, next int32) int32 {
	n := verNode{pkg: pkg, next: next, p: p, priority: priorityNumber(p.Priority)}
	switch p.MultiArch {
	case "same":
		if p.Architecture != "all" {
			n.multi = multiSame
		}
	case "foreign":
		n.multi = multiForeign
	case "allowed":
		n.multi = multiAllowed
	}
	if p.Architecture == "all" {
		n.multi |= archAll
	}
	source := p.Source
	if source == "" {
		source = p.Name
	}
	n.source = c.newGroup(source)
	v := int32(len(c.vers))
	c.vers = append(c.vers, n)
	c.vers[v].nextInSource = c.groups[n.source].sources
	c.groups[n.source].sources = v
	return v
}

// addOrigin notes that v was seen in one more place.
func (c *cache) addOrigin(v, pkg int32, p *debian.Package, installed bool) {
	n := &c.vers[v]
	node := &c.pkgs[pkg]
	node.essential = node.essential || p.Essential || p.Name == "apt"
	node.guarded = node.guarded || p.Protected || p.Name == "apt"
	if installed {
		node.current, n.installed = v, p
		return
	}
	if n.p != p {
		n.also = append(n.also, p)
	}
	n.archive = true
	n.fetchable = n.fetchable || p.Size != 0
}

// sameVersion reports whether p describes the same build as v does: the same version with the same relations.
func (c *cache) sameVersion(v int32, p *debian.Package) bool {
	q := c.vers[v].p
	if q.MultiArch != p.MultiArch || (q.Architecture == "all") != (p.Architecture == "all") {
		return false
	}
	if q.Size != 0 && p.Size != 0 && q.Size != p.Size || q.SHA256 != "" && p.SHA256 != "" && q.SHA256 != p.SHA256 {
		return false
	}
	return q.InstalledSize == p.InstalledSize &&
		q.Depends.String() == p.Depends.String() && q.PreDepends.String() == p.PreDepends.String() &&
		q.Conflicts.String() == p.Conflicts.String() && q.Breaks.String() == p.Breaks.String() &&
		q.Replaces.String() == p.Replaces.String()
}

func (c *cache) newGroup(name string) int32 {
	if g, ok := c.byName[name]; ok {
		return g
	}
	g := int32(len(c.groups))
	c.groups = append(c.groups, groupNode{name: name})
	c.byName[name] = g
	return g
}

// newPackage finds or makes the node of a name in an architecture.
func (c *cache) newPackage(name string, arch int32) int32 {
	return c.newMember(c.newGroup(name), arch)
}

func (c *cache) newMember(g, arch int32) int32 {
	if p := c.find(g, arch); p != 0 {
		return p
	}
	p := int32(len(c.pkgs))
	c.pkgs = append(c.pkgs, pkgNode{group: g, arch: arch})
	if c.groups[g].first == 0 {
		c.groups[g].first = p
	} else {
		c.inherit(g, p)
		c.pkgs[c.groups[g].last].next = p
	}
	c.groups[g].last = p
	if arch == c.any() {
		c.provideQualified(c.groups[g].name, p)
	}
	return p
}

// inherit gives a further architecture of a name what holds for all of them: providers that are Multi-Arch:
// foreign, and negative relations. The new package p is not yet in the group's list.
func (c *cache) inherit(g, p int32) {
	if m := c.preferred(g, false); m != 0 {
		for r := c.pkgs[m].provides; r != 0; r = c.prvs[r].next {
			prv := c.prvs[r]
			if !prv.archSpecific && !prv.implicit && c.vers[prv.owner].multi&multiForeign != 0 {
				c.newProvides(prv.owner, p, prv)
			}
		}
	}
	for s := c.groups[g].first; s != 0; s = c.pkgs[s].next {
		for v := c.pkgs[s].versions; v != 0; v = c.vers[v].next {
			if c.vers[v].multi&multiForeign != 0 {
				c.newProvides(v, p, prvNode{version: c.version(v), implicit: true})
			}
		}
	}
	if m := c.preferred(g, false); m != 0 {
		for d := c.pkgs[m].revDeps; d != 0; d = c.deps[d].nextRev {
			dep := c.deps[d]
			if dep.archSpecific || dep.implicit || !dep.kind.negative() && dep.kind != replaces {
				continue
			}
			c.newDependency(dep.owner, p, dep, c.lastDependency(dep.owner))
		}
	}
}

// provideQualified lets the packages behind "name:arch" provide p, the node of that spelling.
func (c *cache) provideQualified(name string, p int32) {
	i := strings.LastIndexByte(name, ':')
	if i < 0 || name[i+1:] == "any" {
		return
	}
	arch := c.archNumber(name[i+1:])
	if arch < 0 || arch == c.any() {
		return // an architecture nobody configured: no package can be behind it
	}
	target := c.newPackage(name[:i], arch)
	c.groups[c.pkgs[target].group].qualified = true
	for r := c.pkgs[target].provides; r != 0; r = c.prvs[r].next {
		owner := c.prvs[r].owner
		if !c.prvs[r].implicit && c.pkgs[c.vers[owner].pkg].arch == arch {
			c.newProvides(owner, p, prvNode{version: c.version(owner), implicit: true, archSpecific: true})
		}
	}
	for v := c.pkgs[target].versions; v != 0; v = c.vers[v].next {
		c.newProvides(v, p, prvNode{version: c.version(v), implicit: true, archSpecific: true})
	}
}

func (c *cache) newProvides(owner, target int32, like prvNode) {
	r := int32(len(c.prvs))
	like.owner, like.target = owner, target
	like.next, like.nextOfOwner = c.pkgs[target].provides, c.vers[owner].provides
	c.prvs = append(c.prvs, like)
	c.pkgs[target].provides, c.vers[owner].provides = r, r
}

func (c *cache) lastDependency(v int32) int32 {
	d := c.vers[v].deps
	for d != 0 && c.deps[d].next != 0 {
		d = c.deps[d].next
	}
	return d
}

// newDependency links a dependency like the given one behind after in owner's list, and returns it.
func (c *cache) newDependency(owner, target int32, like depNode, after int32) int32 {
	d := int32(len(c.deps))
	like.owner, like.target, like.next, like.nextRev = owner, target, 0, 0
	if head := c.pkgs[target].revDeps; head == 0 || like.version != "" && c.deps[head].version != like.version {
		like.nextRev = head
		c.pkgs[target].revDeps = d
	} else {
		like.nextRev = c.deps[head].nextRev
		c.deps[head].nextRev = d
	}
	if after == 0 {
		like.next = c.vers[owner].deps
		c.vers[owner].deps = d
	} else {
		like.next = c.deps[after].next
		c.deps[after].next = d
	}
	c.deps = append(c.deps, like)
	return d
}

// readRelations enters all relationship fields of p, in the order apt reads them.
func (c *cache) readRelations(v int32, p *debian.Package) {
	c.tailOwner, c.tail = v, 0
	for _, f := range [...]struct {
		kind kind
		dep  debian.Dependency
	}{
		{preDepends, p.PreDepends}, {depends, p.Depends}, {conflicts, p.Conflicts}, {breaks, p.Breaks},
		{recommends, p.Recommends}, {suggests, p.Suggests}, {replaces, p.Replaces}, {enhances, p.Enhances},
	} {
		for _, alternatives := range f.dep {
			for i := range alternatives {
				c.readRelation(v, f.kind, alternatives, i)
			}
		}
	}
	c.readProvides(v, p)
}

func (c *cache) readRelation(v int32, k kind, alternatives debian.Alternatives, i int) {
	r := &alternatives[i]
	d := depNode{
		kind: k, op: operator(r.Op), version: r.Version, or: i < len(alternatives)-1, single: len(alternatives) == 1,
	}
	name, arch := r.Name, c.pkgs[c.vers[v].pkg].arch
	switch r.ArchQual {
	case "":
	case "any":
		name, arch = name+":any", c.any()
	case "native":
		name, arch, d.archSpecific = name+":"+c.arches[native], c.any(), true
	default:
		name, arch, d.archSpecific = name+":"+r.ArchQual, c.any(), true
	}
	g := c.newGroup(name)
	all := (k.negative() || k == replaces) && !d.archSpecific && c.groups[g].first != 0
	if !all {
		c.tail = c.newDependency(v, c.newMember(g, arch), d, c.tail)
		return
	}
	for p := c.groups[g].first; p != 0; p = c.pkgs[p].next {
		c.tail = c.newDependency(v, p, d, c.tail)
	}
}

// addSiblingRelations makes the architectures of one name exclude one another, or agree on one version when they
// are Multi-Arch: same.
func (c *cache) addSiblingRelations(pkg, v int32) {
	g := c.pkgs[pkg].group
	if c.vers[c.pkgs[pkg].versions].next == 0 { // the first version: the others have not heard of us yet
		for s := c.groups[g].first; s != 0; s = c.pkgs[s].next {
			if s == pkg {
				continue
			}
			for w := c.pkgs[s].versions; w != 0; w = c.vers[w].next {
				c.relateSiblings(w, pkg, 0)
			}
		}
	}
	tail := int32(0)
	for s := c.groups[g].first; s != 0; s = c.pkgs[s].next {
		if c.pkgs[s].arch != c.pkgs[pkg].arch && c.pkgs[s].versions != 0 {
			tail = c.relateSiblings(v, s, tail)
		}
	}
}

func (c *cache) relateSiblings(v, target, tail int32) int32 {
	if tail == 0 {
		tail = c.lastDependency(v)
	}
	if c.vers[v].multi&multiSame == 0 {
		return c.newDependency(v, target, depNode{kind: conflicts, implicit: true, single: true}, tail)
	}
	tail = c.newDependency(v, target, depNode{kind: replaces, op: opLess, version: c.version(v), implicit: true, single: true}, tail)
	return c.newDependency(v, target, depNode{kind: breaks, op: opNotEqual, version: c.version(v), implicit: true, single: true}, tail)
}
