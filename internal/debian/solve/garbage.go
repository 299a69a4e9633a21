package solve

import (
	"slices"
	"strings"

	"n3x/internal/debian"
)

// markAndSweep finds what was pulled in as a dependency and is not needed by anything that stays. Recommends and
// Suggests count as needs here, whatever is installed for their sake.
func (s *state) markAndSweep() {
	for p := range s.pkg {
		s.pkg[p].marked, s.pkg[p].garbage = false, false
	}
	g := &marker{state: s, explored: make([]bool, len(s.pkgs))}
	for p := int32(1); p < int32(len(s.pkgs)); p++ {
		st := &s.pkg[p]
		if !st.marked && !s.absent(p) && s.root(p) {
			g.mark(p, s.present(p), 0)
		}
	}
	for p := range s.pkg {
		st, cur := &s.pkg[p], s.pkgs[p].current
		if cur != 0 && s.vers[cur].priority == 1 {
			continue
		}
		st.garbage = !st.marked && (cur != 0 || st.installing())
	}
}

// root reports whether p stays for its own sake.
func (s *state) root(p int32) bool {
	n, st := &s.pkgs[p], &s.pkg[p]
	return !st.auto || n.essential || n.guarded || n.current != 0 && s.vers[n.current].priority == 1 ||
		neverGarbage(s.name(p)) || st.protected || st.hold
}

// neverGarbage are the packages that apt's default configuration exempts: kernels and their firmware.
func neverGarbage(name string) bool {
	rest, kernel := strings.CutPrefix(name, "linux-image-")
	if !kernel {
		return strings.HasPrefix(name, "firmware-linux") || name == "linux-firmware"
	}
	flavour, variant, _ := strings.Cut(rest, "-")
	return strings.Trim(flavour+variant, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// absent packages will not be there after the plan.
func (s *state) absent(p int32) bool {
	if s.pkgs[p].current == 0 {
		return s.pkg[p].keep()
	}
	return s.pkg[p].deleting()
}

// present is the version that will be there.
func (s *state) present(p int32) int32 {
	if s.pkg[p].installing() {
		return s.pkg[p].install
	}
	return s.pkgs[p].current
}

type marker struct {
	*state
	explored []bool
}

func (g *marker) mark(p, v int32, depth int) {
	if v == 0 || g.pkg[p].marked || depth > maxDepth {
		return
	}
	if g.absent(p) {
		g.explored[p] = true
		return
	}
	g.pkg[p].marked = true
	for d := g.vers[v].deps; d != 0; d = g.deps[d].next {
		dep := &g.deps[d]
		if k := dep.kind; g.explored[dep.target] || k > depends && k != recommends && k != suggests {
			continue
		}
		for _, w := range g.needed(dep) {
			g.mark(g.vers[w].pkg, w, depth+1)
		}
	}
}

// needed lists the present versions that fulfil dep, or none when another look at its target is not worth while.
func (g *marker) needed(dep *depNode) []int32 {
	t := dep.target
	var found []int32
	unmet := false
	if !g.absent(t) {
		if v := g.present(t); v != 0 {
			if g.heldBy(dep, v) {
				found = append(found, v)
			} else {
				unmet = true
			}
		}
	}
	if len(found) == 0 && !unmet {
		g.pkg[t].marked = true
	}
	for r := g.pkgs[t].provides; r != 0; r = g.prvs[r].next {
		prv := &g.prvs[r]
		q := g.vers[prv.owner].pkg
		if g.absent(q) || g.present(q) != prv.owner {
			continue
		}
		if dep.holds(prv.version) {
			found = append(found, prv.owner)
		} else {
			unmet = true
		}
	}
	if !unmet {
		g.explored[t] = true
	}
	return g.preferInstalled(found)
}

// preferInstalled keeps from each source package its latest binaries only, and drops newly installed providers when
// those of several source packages are there and some was installed before.
func (g *marker) preferInstalled(found []int32) []int32 {
	if len(found) < 2 {
		return found
	}
	latest := map[int32]string{}
	for _, v := range found {
		src, ver := g.vers[v].source, g.sourceVersion(v)
		if old, ok := latest[src]; !ok || debian.Version(ver).Compare(debian.Version(old)) > 0 {
			latest[src] = ver
		}
	}
	installed := false
	for _, v := range found {
		installed = installed || g.pkgs[g.vers[v].pkg].current != 0
	}
	dropNew := len(latest) > 1 && installed
	return slices.DeleteFunc(found, func(v int32) bool {
		return g.sourceVersion(v) != latest[g.vers[v].source] || dropNew && g.pkgs[g.vers[v].pkg].current == 0
	})
}

// dropGarbage takes new packages that nobody needs any more out of the plan again. It reports whether the plan is
// still whole.
func (s *state) dropGarbage() bool {
	s.markAndSweep()
	var dropped []int32
	for p := int32(1); p < int32(len(s.pkgs)); p++ {
		if s.pkg[p].garbage && s.pkg[p].installing() && s.pkgs[p].current == 0 {
			dropped = append(dropped, p)
		}
	}
	slices.SortStableFunc(dropped, func(a, b int32) int { return strings.Compare(s.name(a), s.name(b)) })
	for _, p := range dropped {
		s.markDelete(p, false, 0)
	}
	slices.Sort(dropped)
	for s.broken != 0 || s.policyBroken != 0 {
		i := slices.IndexFunc(dropped, s.stillNeeded)
		if i < 0 {
			break
		}
		s.markInstall(dropped[i], false, 0, false)
		dropped = slices.Delete(dropped, i, i+1)
	}
	return s.broken == 0
}

// stillNeeded reports whether a planned package has an important dependency that p would fulfil.
func (s *state) stillNeeded(p int32) bool {
	v := s.pkg[p].candidate
	if v == 0 {
		return false
	}
	if s.neededAs(p, p, s.version(v)) {
		return true
	}
	for r := s.vers[v].provides; r != 0; r = s.prvs[r].nextOfOwner {
		if s.neededAs(p, s.prvs[r].target, s.prvs[r].version) {
			return true
		}
	}
	return false
}

// neededAs is stillNeeded for the dependencies on one name that p has, in the version it has under that name.
func (s *state) neededAs(p, name int32, as debian.Version) bool {
	for d := s.pkgs[name].revDeps; d != 0; d = s.deps[d].nextRev {
		dep := &s.deps[d]
		if dep.kind.negative() || !s.important(dep) || dep.version != "" && !dep.holds(as) {
			continue
		}
		q := s.vers[dep.owner].pkg
		switch dep.owner {
		case s.pkgs[q].current:
			if !s.pkg[q].keep() {
				continue
			}
		case s.pkg[q].candidate:
			if !s.pkg[q].newInstall() && !s.pkg[q].upgrade() {
				continue
			}
		default:
			continue
		}
		if s.pkgs[p].current == 0 && slices.ContainsFunc(s.targets(dep), func(w int32) bool {
			o := s.vers[w].pkg
			return s.pkgs[o].current != 0 && s.pkg[o].install == w
		}) {
			continue
		}
		return true
	}
	return false
}
