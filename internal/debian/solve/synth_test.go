package solve

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"n3x/internal/arch"
	"n3x/internal/debian"
)

// synthetic draws a small universe in which names, versions, alternatives, provisions, conflicts and architectures
// meet far more often than in Debian, with what is installed in it, and requests.
func synthetic(rng *rand.Rand) (Request, [][]string) {
	g := &generator{rng: rng, names: 6 + rng.IntN(24), virtual: 1 + rng.IntN(5), dense: 3 + rng.IntN(12)}
	r := Request{Arch: "amd64"}
	if rng.IntN(3) == 0 {
		r.Foreign = []arch.Arch{"i386"}
	}
	for i := range 1 + rng.IntN(2) {
		index := &debian.Index{Suite: "./", Archive: fmt.Sprintf("suite%d", i), Codename: fmt.Sprintf("code%d", i)}
		pin := []int{500, 500, 500, 100, 990, 1001}[rng.IntN(6)]
		for n := range g.names {
			if i > 0 && rng.IntN(3) > 0 {
				continue
			}
			for _, a := range g.arches(r.Foreign) {
				p := g.pkg(n, a, i)
				p.Index, p.Pin = index, pin
				r.Packages = append(r.Packages, p)
			}
		}
	}
	var requests [][]string
	for range 8 {
		var words []string
		for range 1 + rng.IntN(5) {
			words = append(words, g.word(r))
		}
		requests = append(requests, words)
	}
	return r, requests
}

// syntheticWorld is the universe of a seed, every other time with a tree in which something is installed.
func syntheticWorld(seed int) (Request, [][]string) {
	rng := rand.New(rand.NewPCG(uint64(seed), 7))
	r, requests := synthetic(rng)
	if seed%2 == 1 {
		r.Installed, r.Auto = installed(rng, r)
		if seed%4 == 3 {
			r.Installed = older(rng, r.Installed)
		}
	}
	return r, requests
}

type generator struct {
	rng            *rand.Rand
	names, virtual int
	dense          int // one in dense packages has a conflict
}

func (g *generator) one(list ...string) string { return list[g.rng.IntN(len(list))] }

func (g *generator) arches(foreign []arch.Arch) []string {
	switch {
	case g.rng.IntN(4) == 0:
		return []string{"all"}
	case len(foreign) > 0 && g.rng.IntN(2) == 0:
		return []string{"amd64", string(foreign[0])}
	case len(foreign) > 0 && g.rng.IntN(4) == 0:
		return []string{string(foreign[0])}
	}
	return []string{"amd64"}
}

func (g *generator) name() string {
	if g.rng.IntN(4) == 0 {
		return fmt.Sprintf("virt%d", g.rng.IntN(g.virtual))
	}
	if g.rng.IntN(150) == 0 {
		return "missing"
	}
	return fmt.Sprintf("p%d", g.rng.IntN(g.names))
}

func (g *generator) version() debian.Version {
	return debian.Version(g.one("1", "2", "2-1", "3", "1:1", "2~rc1"))
}

func (g *generator) relation(versioned bool) debian.Relation {
	r := debian.Relation{Name: g.name()}
	if versioned && g.rng.IntN(6) == 0 {
		r.Op, r.Version = g.one("<<", "<=", "=", ">=", ">=", ">=", ">=", ">=", ">>"), g.version()
	}
	if g.rng.IntN(12) == 0 {
		r.ArchQual = g.one("any", "any", "amd64", "i386")
	}
	return r
}

func (g *generator) field(most int, or bool) debian.Dependency {
	var d debian.Dependency
	for range g.rng.IntN(most + 1) {
		alts := debian.Alternatives{g.relation(true)}
		for or && g.rng.IntN(2) == 0 {
			alts = append(alts, g.relation(true))
		}
		d = append(d, alts)
	}
	return d
}

func (g *generator) pkg(n int, a string, suite int) *debian.Package {
	p := &debian.Package{
		Name: fmt.Sprintf("p%d", n), Architecture: a, Version: debian.Version(fmt.Sprint(1 + suite)),
		Priority: g.one("optional", "optional", "required", "important", "extra", "standard"), Section: "misc",
		Size: 1000, InstalledSize: 10,
		Depends: g.field(2, true),
	}
	if g.rng.IntN(3) == 0 {
		p.Version = g.version()
	}
	p.Source, p.SourceVersion = p.Name, p.Version
	if g.rng.IntN(4) == 0 {
		p.Source = fmt.Sprintf("src%d", n/3)
	}
	if g.rng.IntN(5) == 0 {
		p.PreDepends = g.field(1, true)
	}
	if g.rng.IntN(g.dense) == 0 {
		p.Conflicts = g.field(1, false)
	}
	if g.rng.IntN(g.dense) == 0 {
		p.Breaks = g.field(1, false)
	}
	if g.rng.IntN(3) == 0 {
		p.Recommends = g.field(2, true)
	}
	if g.rng.IntN(4) == 0 {
		p.Suggests = g.field(2, true)
	}
	if g.rng.IntN(4) == 0 {
		p.Replaces = g.field(2, false)
	}
	for range g.rng.IntN(3) {
		r := debian.Relation{Name: fmt.Sprintf("virt%d", g.rng.IntN(g.virtual))}
		if g.rng.IntN(6) == 0 {
			r.Name = g.name()
		}
		if g.rng.IntN(3) == 0 {
			r.Op, r.Version = "=", g.version()
		}
		p.Provides = append(p.Provides, debian.Alternatives{r})
	}
	p.MultiArch = g.one("", "", "foreign", "allowed")
	if a != "all" && g.rng.IntN(3) == 0 {
		p.MultiArch = "same"
	}
	p.Essential = g.rng.IntN(20) == 0
	return p
}

func (g *generator) word(r Request) string {
	p := r.Packages[g.rng.IntN(len(r.Packages))]
	switch g.rng.IntN(14) {
	case 0:
		return p.Name + "-"
	case 1:
		return p.Name + "=" + string(p.Version)
	case 2:
		return p.Name + "/" + p.Index.Archive
	case 3:
		if len(r.Foreign) > 0 {
			return p.Name + ":" + string(r.Foreign[0])
		}
		return p.Name + ":amd64"
	case 4:
		return fmt.Sprintf("virt%d", g.rng.IntN(g.virtual))
	}
	return p.Name
}

// installed draws a tree that is whole: what a request for some packages gives.
func installed(rng *rand.Rand, r Request) (tree []*debian.Package, auto map[string]bool) {
	for range 5 {
		var words []string
		for range 1 + rng.IntN(6) {
			words = append(words, r.Packages[rng.IntN(len(r.Packages))].Name)
		}
		plan, err := Solve(Request{Packages: r.Packages, Arch: r.Arch, Foreign: r.Foreign, Install: words, Recommends: rng.IntN(2) == 0})
		if err != nil {
			continue
		}
		auto = map[string]bool{}
		for _, p := range plan.Install {
			q := *p
			q.Index, q.Pin, q.Size = nil, 0, 0
			tree = append(tree, &q)
			arch := q.Architecture
			if arch == "all" {
				arch = "amd64"
			}
			auto[q.Name+":"+arch] = plan.Auto[p]
		}
		return tree, auto
	}
	return nil, nil
}

// older gives some installed packages a version that no index has.
func older(rng *rand.Rand, tree []*debian.Package) []*debian.Package {
	tree = slices.Clone(tree)
	for i, p := range tree {
		if rng.IntN(3) == 0 {
			q := *p
			q.Version, q.SourceVersion = "0.5", "0.5"
			tree[i] = &q
		}
	}
	return tree
}

// TestPlansAreWhole checks, without the solver's own graph, that what plans leave behind has all it needs and
// nothing that excludes one another.
func TestPlansAreWhole(t *testing.T) {
	plans := 0
	for seed := range 3000 {
		r, requests := syntheticWorld(seed)
		if len(r.Foreign) > 0 || sameID(r.Packages) {
			continue
		}
		u := NewUniverse(r)
		for _, words := range requests {
			plan, err := u.Solve(words...)
			if err != nil {
				continue
			}
			plans++
			for _, problem := range problems(after(r.Installed, plan)) {
				t.Errorf("seed %d %v: %s", seed, words, problem)
			}
		}
	}
	if plans < 5000 {
		t.Errorf("only %d plans", plans)
	}
}

// sameID reports whether a version exists in two builds: which of them counts is apt's choice, not for this check.
func sameID(list []*debian.Package) bool {
	seen := map[string]bool{}
	return slices.ContainsFunc(list, func(p *debian.Package) bool {
		again := seen[p.ID()]
		seen[p.ID()] = true
		return again
	})
}

// after is the tree once plan is carried out.
func after(installed []*debian.Package, plan *Plan) []*debian.Package {
	tree := slices.Concat(plan.Install, plan.Upgrade)
	for _, p := range installed {
		gone := func(q *debian.Package) bool { return q.Name == p.Name && q.Architecture == p.Architecture }
		replaced := func(q *debian.Package) bool { return q.Name == p.Name }
		if !slices.ContainsFunc(plan.Remove, gone) && !slices.ContainsFunc(plan.Upgrade, replaced) {
			tree = append(tree, p)
		}
	}
	return tree
}

func problems(tree []*debian.Package) (list []string) {
	for _, p := range tree {
		for _, d := range []debian.Dependency{p.PreDepends, p.Depends} {
			for _, alternatives := range d {
				if !slices.ContainsFunc(alternatives, func(r debian.Relation) bool {
					return r.ArchQual != "" || slices.ContainsFunc(tree, func(q *debian.Package) bool { return fulfils(q, r) })
				}) {
					list = append(list, p.ID()+" lacks "+alternatives.String())
				}
			}
		}
		for _, alternatives := range slices.Concat(p.Conflicts, p.Breaks) {
			for _, q := range tree {
				if q.Name != p.Name && alternatives[0].ArchQual == "" && fulfils(q, alternatives[0]) {
					list = append(list, p.ID()+" excludes "+q.ID())
				}
			}
		}
	}
	return list
}

// fulfils is dpkg's rule for one architecture; relations with an architecture are left out.
func fulfils(q *debian.Package, r debian.Relation) bool {
	return q.Name == r.Name && r.SatisfiedBy(q.Version) || slices.ContainsFunc(q.Provides, func(a debian.Alternatives) bool {
		return a[0].Name == r.Name && a[0].ArchQual == "" && r.SatisfiedBy(a[0].Version)
	})
}
