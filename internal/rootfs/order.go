package rootfs

import (
	"cmp"
	"slices"
	"strings"

	"n3x/internal/debian"
	"n3x/internal/diag"
)

// step is one call of dpkg: it unpacks, or it configures.
type step struct {
	unpack    []Deb
	configure []string // package names; "-a" alone for all that is left
	bootstrap bool     // the first packages of all: put into place by hand before, dependencies not looked at
}

// order computes the calls of dpkg that install o.Install where have is installed and configured. Policy 7.2: Depends are
// dpkg's to honour while it configures, but Pre-Depends must be configured before their dependant is unpacked.
func order(o Options, have []*debian.Package) ([]step, error) {
	p := &planner{have: newSet(have), left: slices.Clone(o.Install)}
	slices.SortFunc(p.left, func(a, b Deb) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Architecture, b.Architecture))
	})
	if err := p.checkTwice(); err != nil {
		return nil, err
	}
	if len(o.Below) == 0 {
		if err := p.bootstrap(o); err != nil {
			return nil, err
		}
		if err := p.minimal(o); err != nil {
			return nil, err
		}
	}
	for _, name := range o.Remove {
		p.have.remove(name)
	}
	if err := p.rest(); err != nil {
		return nil, err
	}
	return append(p.steps, step{configure: []string{"-a"}}), nil
}

type planner struct {
	steps    []step
	have     set   // configured
	unpacked set   // unpacked by a step, not configured yet
	left     []Deb // sorted by name and architecture
}

func (p *planner) checkTwice() error {
	for i := 1; i < len(p.left); i++ {
		if a, b := p.left[i-1], p.left[i]; a.Name == b.Name && a.Architecture == b.Architecture {
			return diag.Failedf(diag.Pos{}, "install %s: %s is to be installed too", a.ID(), b.ID())
		}
	}
	return nil
}

// bootstrap installs the essential packages and what they depend on, without regard to Pre-Depends: each of them may take
// all the others for granted, and all their files are in place already.
func (p *planner) bootstrap(o Options) error {
	first := p.closure(o, func(d Deb) bool { return d.Essential || d.Name == "dpkg" })
	for _, name := range []string{"dpkg", "base-files", "base-passwd"} {
		if !slices.ContainsFunc(first, func(d Deb) bool { return d.Name == name }) {
			return diag.Failedf(diag.Pos{}, "make a root filesystem for %s from %d packages: %s is not among them", o.Arch, len(o.Install), name).
				WithHint("install the essential packages of the distribution too")
		}
	}
	p.take(first)
	p.steps = append(p.steps, step{unpack: first, bootstrap: true},
		step{configure: []string{"base-passwd"}, bootstrap: true}, // accounts come before the scripts that name them
		step{configure: []string{"-a"}})
	p.configured(p.unpacked.all())
	return nil
}

// minimal installs the packages of priority required, and apt, before all others: it is the system that mmdebstrap and
// debootstrap leave, and that the scripts of other packages are written for. So root has a password entry before any
// package adds its user, and apt's timers do not find systemd yet.
func (p *planner) minimal(o Options) error {
	base := p.closure(o, func(d Deb) bool { return d.Priority == "required" || d.Name == "apt" })
	if len(base) == 0 {
		return nil
	}
	others := slices.DeleteFunc(slices.Clone(p.left), func(d Deb) bool { return slices.ContainsFunc(base, d.same) })
	p.left = base
	if err := p.rest(); err != nil {
		return err
	}
	p.left = others
	p.steps = append(p.steps, step{configure: []string{"-a"}})
	p.configured(p.unpacked.all())
	return nil
}

// closure is what of left is native and wanted, with all that it depends on.
func (p *planner) closure(o Options, wanted func(Deb) bool) []Deb {
	native := slices.DeleteFunc(slices.Clone(p.left), func(d Deb) bool {
		return d.Architecture != string(o.Arch) && d.Architecture != "all"
	})
	plan := newSet(packages(native))
	closure := make(map[*debian.Package]bool)
	for _, d := range native {
		if wanted(d) {
			plan.close(d.Package, closure)
		}
	}
	return slices.DeleteFunc(slices.Clone(p.left), func(d Deb) bool { return !closure[d.Package] })
}

// rest installs what is left, in as few calls as Pre-Depends allow.
func (p *planner) rest() error {
	for len(p.left) > 0 {
		var ready []Deb
		for _, d := range p.left {
			if p.have.satisfiesAll(d.PreDepends, d.Package) {
				ready = append(ready, d)
			}
		}
		if len(ready) > 0 {
			p.take(ready)
			p.steps = append(p.steps, step{unpack: p.conflictsLast(ready)})
			continue
		}
		next := p.preDepended()
		if len(next) == 0 {
			return p.stuck()
		}
		p.steps = append(p.steps, step{configure: names(next)})
		p.configured(next)
	}
	return nil
}

// take moves debs from left to unpacked. What they upgrade stays in have: dpkg is content with a Pre-Depends that was
// configured once in a sufficient version.
func (p *planner) take(debs []Deb) {
	p.left = slices.DeleteFunc(p.left, func(d Deb) bool { return slices.ContainsFunc(debs, d.same) })
	for _, d := range debs {
		p.unpacked.add(d.Package)
	}
}

func (d Deb) same(e Deb) bool { return d.Package == e.Package }

func (p *planner) configured(list []*debian.Package) {
	for _, c := range list {
		p.unpacked.drop(c)
		p.have.replace(c)
	}
}

// preDepended is what has to be configured now so that one of the packages left can be unpacked, with all that it depends
// on in its turn.
func (p *planner) preDepended() []*debian.Package {
	wanted := make(map[*debian.Package]bool)
	for _, d := range p.left {
		for _, alternatives := range d.PreDepends {
			if p.have.satisfies(alternatives, d.Package) {
				continue
			}
			if target := p.unpacked.first(alternatives, d.Package); target != nil && p.complete(target, map[*debian.Package]bool{}) {
				p.gather(target, wanted)
			}
		}
	}
	return sorted(wanted)
}

// complete reports whether everything that c depends on is configured or at least unpacked.
func (p *planner) complete(c *debian.Package, seen map[*debian.Package]bool) bool {
	if seen[c] {
		return true
	}
	seen[c] = true
	for _, alternatives := range slices.Concat(c.PreDepends, c.Depends) {
		if p.have.satisfies(alternatives, c) {
			continue
		}
		if next := p.unpacked.first(alternatives, c); next == nil || !p.complete(next, seen) {
			return false
		}
	}
	return true
}

// gather adds c, which is complete, and the unpacked packages it needs to list.
func (p *planner) gather(c *debian.Package, list map[*debian.Package]bool) {
	if list[c] {
		return
	}
	list[c] = true
	for _, alternatives := range slices.Concat(c.PreDepends, c.Depends) {
		if !p.have.satisfies(alternatives, c) {
			p.gather(p.unpacked.first(alternatives, c), list)
		}
	}
}

// stuck explains why nothing of what is left can be unpacked.
func (p *planner) stuck() error {
	left := newSet(packages(p.left))
	err := diag.Failedf(diag.Pos{}, "order %d packages for dpkg: their Pre-Depends cannot be configured before them", len(p.left))
	for _, d := range p.left {
		for _, alternatives := range d.PreDepends {
			if p.have.satisfies(alternatives, d.Package) {
				continue
			}
			why := "which is not to be installed"
			switch {
			case p.unpacked.first(alternatives, d.Package) != nil:
				why = "which depends on a package that cannot be unpacked either"
			case left.first(alternatives, d.Package) != nil:
				why = "which cannot be unpacked either"
			}
			err = err.WithNote("%s pre-depends on %s, %s", d.ID(), alternatives, why)
		}
	}
	return err
}

// conflictsLast puts a package behind those whose installed versions it conflicts with: they are upgraded out of its way.
func (p *planner) conflictsLast(debs []Deb) []Deb {
	var (
		sorted = make([]Deb, 0, len(debs))
		state  = make(map[string]bool)
		visit  func(d Deb)
	)
	visit = func(d Deb) {
		if state[d.ID()] {
			return
		}
		state[d.ID()] = true
		for _, other := range debs {
			if old := p.have.version(other.Package); old != nil && old != other.Package && conflict(d.Package, old) {
				visit(other)
			}
		}
		sorted = append(sorted, d)
	}
	for _, d := range debs {
		visit(d)
	}
	return sorted
}

func conflict(p, installed *debian.Package) bool {
	for _, alternatives := range slices.Concat(p.Conflicts, p.Breaks) {
		for _, r := range alternatives {
			if p.Name != installed.Name && matches(installed, r, p) {
				return true
			}
		}
	}
	return false
}

func packages(debs []Deb) []*debian.Package {
	list := make([]*debian.Package, len(debs))
	for i, d := range debs {
		list[i] = d.Package
	}
	return list
}

// names is how dpkg wants the packages named.
func names(list []*debian.Package) []string {
	all := make([]string, len(list))
	for i, c := range list {
		all[i] = c.Name
		if c.Architecture != "all" {
			all[i] += ":" + c.Architecture
		}
	}
	return all
}

func sorted(packages map[*debian.Package]bool) []*debian.Package {
	list := make([]*debian.Package, 0, len(packages))
	for c := range packages {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *debian.Package) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), strings.Compare(a.Architecture, b.Architecture))
	})
	return list
}
