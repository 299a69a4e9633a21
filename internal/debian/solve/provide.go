package solve

import "n3x/internal/debian"

func (c *cache) readProvides(v int32, p *debian.Package) {
	owner := c.vers[v].pkg
	group := c.pkgs[owner].group
	ownName := p.Name + ":" + c.arches[c.pkgs[owner].arch]
	already := false // while reading our own relations, "name:arch" may have been made and provided
	for r := c.vers[v].provides; r != 0; r = c.prvs[r].nextOfOwner {
		already = already || c.prvs[r].implicit && c.prvs[r].archSpecific
	}
	for _, alternatives := range p.Provides {
		for i := range alternatives {
			c.readProvision(v, &alternatives[i])
		}
	}
	switch {
	case c.vers[v].multi&multiAllowed != 0:
		c.provide(v, p.Name+":any", c.any(), prvNode{version: p.Version, implicit: true})
	case c.vers[v].multi&multiForeign != 0:
		c.provideAllArches(v, p.Name, prvNode{version: p.Version, implicit: true})
	}
	if !already && c.groups[group].qualified && c.find(c.byName[ownName], c.any()) != 0 {
		c.provide(v, ownName, c.any(), prvNode{version: p.Version, implicit: true, archSpecific: true})
	}
}

// readProvision enters one member of Provides.
func (c *cache) readProvision(v int32, r *debian.Relation) {
	if r.Op != "" && r.Op != "=" {
		return // dpkg forbids it, apt ignores it
	}
	like := prvNode{version: r.Version}
	arch := c.pkgs[c.vers[v].pkg].arch
	if r.ArchQual != "" {
		if r.ArchQual != "any" {
			if a := c.archNumber(r.ArchQual); a >= 0 {
				c.provide(v, r.Name, a, prvNode{version: r.Version, implicit: true, archSpecific: true})
			}
		}
		like.archSpecific = true
		c.provide(v, r.Name+":"+r.ArchQual, c.any(), like)
		return
	}
	if c.vers[v].multi&multiForeign != 0 {
		c.provideAllArches(v, r.Name, like)
	} else {
		if c.vers[v].multi&multiAllowed != 0 {
			c.provide(v, r.Name+":any", c.any(), prvNode{version: r.Version, implicit: true})
		}
		c.provide(v, r.Name, arch, like)
	}
	if g, ok := c.byName[r.Name]; ok && c.groups[g].qualified {
		qualified := r.Name + ":" + c.arches[arch]
		if c.find(c.byName[qualified], c.any()) != 0 {
			c.provide(v, qualified, c.any(), prvNode{version: r.Version, implicit: true, archSpecific: true})
		}
	}
}

func (c *cache) provide(v int32, name string, arch int32, like prvNode) {
	own := c.vers[v].pkg
	if c.name(own) == name && arch == c.pkgs[own].arch && (like.version == "" || like.version == c.version(v)) {
		return // a package always provides itself
	}
	c.newProvides(v, c.newPackage(name, arch), like)
}

func (c *cache) provideAllArches(v int32, name string, like prvNode) {
	g := c.byName[name]
	if g == 0 || c.groups[g].first == 0 {
		c.provide(v, name, native, like)
		return
	}
	for p := c.groups[g].first; p != 0; p = c.pkgs[p].next {
		if !like.implicit || p != c.vers[v].pkg {
			c.newProvides(v, p, like)
		}
	}
}
