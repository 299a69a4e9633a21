package solve

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"n3x/internal/debian"
)

// question is one request put to both solvers.
type question struct {
	name  string
	words []string
}

// drawSets draws sets of 5 to 60 packages from a universe.
func drawSets(rng *rand.Rand, universe []*debian.Package, n int) []question {
	var list []question
	for i := range n {
		var words []string
		for range 5 + rng.IntN(56) {
			words = append(words, universe[rng.IntN(len(universe))].Name)
		}
		list = append(list, question{fmt.Sprintf("set%d", i), words})
	}
	return list
}

// drawHard draws requests of the kinds that random sets rarely are: virtual names, versions, exclusions, conflicts,
// and names that do not exist.
func drawHard(rng *rand.Rand, u *Universe, n int) []question {
	h := &hard{u: u, c: u.cache, rng: rng}
	kinds := []struct {
		name string
		draw func() []string
	}{
		{"virtual", h.virtual}, {"versioned", h.versioned}, {"without", h.without}, {"conflict", h.conflict},
		{"rivals", h.rivals}, {"unknown", h.unknown},
	}
	var list []question
	for i := 0; len(list) < n; i++ {
		k := kinds[i%len(kinds)]
		if words := k.draw(); words != nil {
			list = append(list, question{fmt.Sprintf("%s%d", k.name, i), words})
		} else if i > 100*n {
			break
		}
	}
	return list
}

type hard struct {
	u   *Universe
	c   *cache
	rng *rand.Rand
}

// someVersion is the candidate of a random native package.
func (h *hard) someVersion() int32 {
	for {
		p := 1 + h.rng.IntN(len(h.c.pkgs)-1)
		if v := h.u.initial.pkg[p].candidate; v != 0 && h.c.pkgs[p].arch == native {
			return v
		}
	}
}

func (h *hard) nameOf(v int32) string { return h.c.name(h.c.vers[v].pkg) }

func (h *hard) virtual() []string {
	words := []string{h.nameOf(h.someVersion())}
	for range 1000 {
		p := int32(1 + h.rng.IntN(len(h.c.pkgs)-1))
		n := &h.c.pkgs[p]
		if n.versions == 0 && n.provides != 0 && n.arch == native {
			return append(words, h.c.name(p))
		}
	}
	return nil
}

func (h *hard) versioned() []string {
	v := h.someVersion()
	words := []string{h.nameOf(h.someVersion()), h.nameOf(v) + "=" + string(h.c.version(v))}
	if h.rng.IntN(4) == 0 {
		words = append(words, h.nameOf(v)+"=0.0~none")
	}
	return words
}

// without asks for a package and against the first choice of one of its or-groups.
func (h *hard) without() []string {
	for range 1000 {
		v := h.someVersion()
		for d := h.c.vers[v].deps; d != 0; d = h.c.deps[d].next {
			dep := &h.c.deps[d]
			if dep.or && dep.kind == depends && h.u.initial.pkg[dep.target].candidate != 0 && h.c.pkgs[dep.target].arch == native {
				return []string{h.nameOf(v), h.c.name(dep.target) + "-"}
			}
		}
	}
	return nil
}

// conflict asks for a package and for another one that it conflicts with or breaks.
func (h *hard) conflict() []string {
	for range 1000 {
		v := h.someVersion()
		for d := h.c.vers[v].deps; d != 0; d = h.c.deps[d].next {
			dep := &h.c.deps[d]
			if !dep.kind.negative() || h.rng.IntN(3) == 0 {
				continue
			}
			for _, w := range h.c.targets(dep) {
				if !h.c.ignores(dep, h.c.vers[w].pkg) && h.nameOf(w) != h.nameOf(v) {
					return []string{h.nameOf(v), h.nameOf(w), h.nameOf(h.someVersion())}
				}
			}
		}
	}
	return nil
}

// rivals asks for several packages that need the same virtual package, and some of its providers.
func (h *hard) rivals() []string {
	for range 1000 {
		p := int32(1 + h.rng.IntN(len(h.c.pkgs)-1))
		var providers, users []string
		for r := h.c.pkgs[p].provides; r != 0; r = h.c.prvs[r].next {
			providers = append(providers, h.nameOf(h.c.prvs[r].owner))
		}
		for d := h.c.pkgs[p].revDeps; d != 0; d = h.c.deps[d].nextRev {
			if h.c.deps[d].kind <= depends {
				users = append(users, h.nameOf(h.c.deps[d].owner))
			}
		}
		if len(providers) < 2 || len(users) < 2 {
			continue
		}
		words := []string{users[h.rng.IntN(len(users))], users[h.rng.IntN(len(users))]}
		for range h.rng.IntN(3) {
			words = append(words, providers[h.rng.IntN(len(providers))])
		}
		slices.Sort(words)
		return slices.Compact(words)
	}
	return nil
}

func (h *hard) unknown() []string {
	if h.rng.IntN(3) > 0 {
		return nil // fewer of these
	}
	return []string{h.nameOf(h.someVersion()), h.nameOf(h.someVersion()) + "x0"}
}

// drawForeign draws requests that mix architectures.
func drawForeign(rng *rand.Rand, universe []*debian.Package, foreign string, n int) []question {
	var list []question
	for i := 0; len(list) < n; i++ {
		var words []string
		for len(words) < 1+rng.IntN(4) {
			p := universe[rng.IntN(len(universe))]
			switch {
			case p.Architecture == foreign:
				words = append(words, p.Name+":"+foreign)
			case p.MultiArch == "same" && p.Architecture != "all":
				words = append(words, p.Name, p.Name+":"+foreign)
			case rng.IntN(6) == 0:
				words = append(words, p.Name)
			}
		}
		list = append(list, question{fmt.Sprintf("foreign%d", i), words})
	}
	return list
}

// minbase is the tree that mmdebstrap's variant minbase would make.
func minbase(universe []*debian.Package, r Request) (tree []*debian.Package, auto map[string]bool, err error) {
	words := []string{"apt"}
	for _, p := range append(Essential(universe, r.Arch), Required(universe, r.Arch)...) {
		words = append(words, p.Name)
	}
	r.Packages, r.Install = universe, words
	plan, err := Solve(r)
	if err != nil {
		return nil, nil, err
	}
	auto = map[string]bool{}
	for _, p := range plan.Install {
		q := *p
		q.Index, q.Pin, q.Size, q.SHA256 = nil, 0, 0, ""
		tree = append(tree, &q)
		arch := q.Architecture
		if arch == "all" {
			arch = string(r.Arch)
		}
		auto[q.Name+":"+arch] = plan.Auto[p]
	}
	return tree, auto, nil
}
