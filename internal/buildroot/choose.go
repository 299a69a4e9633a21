package buildroot

import (
	"slices"

	"n3x/internal/debian"
	"n3x/internal/debian/solve"
	"n3x/internal/rootfs"
)

// dummy begins the name of the package that stands for the source to be built; the solver's explanations show it.
const dummy = "build-dependencies-of-"

// choice is what has to change in the base system.
type choice struct {
	debian, own []rootfs.Deb // to be installed, the own ones and what needs them last
	remove      []string     // name:arch
}

// choose solves for needs. own are the packages of this build that may be used.
func (o Options) choose(offer []*debian.Package, name string, installed []*debian.Package, needs Needs, own []rootfs.Deb) (*choice, error) {
	name = dummy + name
	stand := &debian.Package{Name: name, Version: "1", Architecture: string(o.Host), Depends: needs.Depends, Conflicts: needs.Conflicts,
		Priority: "optional", Section: "misc", Source: name, SourceVersion: "1", Size: 1, Pin: 500}
	universe, stands := append(slices.Clone(offer), stand), map[*debian.Package]bool{stand: true}
	paths := map[*debian.Package]string{}
	words := []string{name + ":" + string(o.Host)}
	var pinned []*debian.Package
	for _, d := range own {
		p := *d.Package
		p.Pin = 1000
		paths[&p] = d.Path
		pinned = append(pinned, &p)
	}
	installed, replaced := replace(installed, pinned)
	for _, there := range installed {
		p := replaced[there]
		if p == nil {
			continue
		}
		needs := &debian.Package{Name: dummy + p.Name, Version: "1", Architecture: p.Architecture, Depends: slices.Concat(p.PreDepends, p.Depends),
			Priority: "optional", Section: "misc", Source: name, SourceVersion: "1", Size: 1, Pin: 500}
		stands[needs] = true
		universe = append(universe, needs, there)
		words = append(words, needs.Name+":"+needs.Architecture)
		pinned = slices.DeleteFunc(pinned, func(o *debian.Package) bool { return o == p })
	}
	universe = append(universe, pinned...)
	plan, err := solve.Solve(solve.Request{Packages: universe, Arch: o.Build, Foreign: o.foreign(), Installed: installed, Install: words})
	if err != nil {
		return nil, err
	}
	c := &choice{}
	var list []*debian.Package
	for _, p := range slices.Concat(plan.Install, plan.Upgrade) {
		if !stands[p] {
			list = append(list, p)
		}
	}
	for _, there := range installed {
		if p := replaced[there]; p != nil && !slices.Contains(plan.Remove, there) {
			list = append(list, p)
		}
	}
	for _, p := range plan.Remove {
		c.remove = append(c.remove, p.Name+":"+p.Architecture)
	}
	top := above(list, paths)
	for _, p := range list {
		if top[p] {
			c.own = append(c.own, rootfs.Deb{Package: p, Path: paths[p]})
		} else {
			c.debian = append(c.debian, rootfs.Deb{Package: p})
		}
	}
	return c, nil
}

// replace puts packages of this build in place of those that are installed in another version, as if that had been done already:
// a build root always has the newest packages of its build, even when their versions are older, which the solver would refuse.
// What these need is left out of those in now; replaced leads from them to the packages as they are.
func replace(installed, own []*debian.Package) (now []*debian.Package, replaced map[*debian.Package]*debian.Package) {
	now, replaced = slices.Clone(installed), map[*debian.Package]*debian.Package{}
	for i, p := range now {
		for _, o := range own {
			if o.Name == p.Name && o.Architecture == p.Architecture && o.Version != p.Version {
				there := *o
				there.PreDepends, there.Depends = nil, nil
				now[i] = &there
				replaced[&there] = o
			}
		}
	}
	return now, replaced
}

// above are the packages of this build and all that depend on them.
func above(list []*debian.Package, own map[*debian.Package]string) map[*debian.Package]bool {
	top := map[*debian.Package]bool{}
	names := map[string]bool{}
	add := func(p *debian.Package) {
		top[p], names[p.Name] = true, true
		for _, a := range p.Provides {
			names[a[0].Name] = true
		}
	}
	for _, p := range list {
		if _, ok := own[p]; ok {
			add(p)
		}
	}
	needs := func(p *debian.Package) bool {
		for _, d := range slices.Concat(p.PreDepends, p.Depends) {
			if slices.ContainsFunc(d, func(r debian.Relation) bool { return names[r.Name] }) {
				return true
			}
		}
		return false
	}
	for grown := len(top) > 0; grown; {
		grown = false
		for _, p := range list {
			if !top[p] && needs(p) {
				add(p)
				grown = true
			}
		}
	}
	return top
}

// mentions are all names that decide over a choice: of what is needed, of what is there, and of what that relates to.
func mentions(installed []*debian.Package, needs Needs, c *choice) map[string]bool {
	names := map[string]bool{}
	add := func(d debian.Dependency) {
		for _, a := range d {
			for _, r := range a {
				names[r.Name] = true
			}
		}
	}
	add(needs.Depends)
	add(needs.Conflicts)
	for _, p := range installed {
		names[p.Name] = true
	}
	for _, d := range c.debian {
		names[d.Name] = true
		for _, f := range []debian.Dependency{d.PreDepends, d.Depends, d.Conflicts, d.Breaks, d.Provides} {
			add(f)
		}
	}
	return names
}

// touches reports whether a package of this build could change a choice that was made without it.
func touches(names map[string]bool, own []rootfs.Deb) bool {
	return slices.ContainsFunc(own, func(d rootfs.Deb) bool {
		if names[d.Name] {
			return true
		}
		for _, f := range []debian.Dependency{d.Provides, d.Conflicts, d.Breaks} {
			for _, a := range f {
				if names[a[0].Name] {
					return true
				}
			}
		}
		return false
	})
}
