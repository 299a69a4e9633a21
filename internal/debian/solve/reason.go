package solve

import (
	"slices"
	"strings"
)

// Unsatisfiable says that a request cannot be met, and why.
type Unsatisfiable struct {
	Words   []string  // the request
	Reasons []*Reason // each a tree
}

// Reason is one fact, and the facts that lead to it.
type Reason struct {
	Text    string // e.g. "exim4 4.98.2-1 Depends: exim4-base (>= 4.98.2)"
	Because []*Reason
}

// Error is the request and the tree of reasons, one a line, indented.
func (u *Unsatisfiable) Error() string {
	var b strings.Builder
	b.WriteString("cannot install " + strings.Join(u.Words, " ") + ":")
	for _, r := range u.Reasons {
		r.write(&b, "\n  ")
	}
	return b.String()
}

func (r *Reason) write(b *strings.Builder, indent string) {
	b.WriteString(indent + r.Text)
	for _, sub := range r.Because {
		sub.write(b, indent+"  ")
	}
}

// dependency is the or-group from d on, as its owner's control file says it.
func (c *cache) dependency(d int32) string {
	text := kindNames[c.deps[d].kind] + ": "
	if c.deps[d].implicit {
		return "excludes other architectures of itself"
	}
	for {
		dep := &c.deps[d]
		text += c.pretty(dep.target)
		if dep.op != opNone {
			text += " (" + opNames[dep.op] + " " + string(dep.version) + ")"
		}
		if !dep.or || dep.next == 0 {
			return text
		}
		text += " | "
		d = dep.next
	}
}

func (c *cache) versioned(v int32) string {
	return c.pretty(c.vers[v].pkg) + " " + string(c.version(v))
}

// explainBroken lists the packages of the plan whose dependencies do not hold.
func (s *state) explainBroken() []*Reason {
	var list []*Reason
	for p := range s.pkg {
		st := &s.pkg[p]
		if !st.instBroken() || st.install == 0 {
			continue
		}
		for d := s.vers[st.install].deps; d != 0; {
			end, next := s.orGroup(d)
			if s.deps[d].kind.critical() && s.dep[end]&depGroupInstall == 0 {
				list = append(list, &Reason{Text: s.versioned(st.install) + " " + s.dependency(d), Because: s.missing(d, next)})
			}
			d = next
		}
	}
	slices.SortFunc(list, func(a, b *Reason) int { return strings.Compare(a.Text, b.Text) })
	return list
}

// missing says of each member of the or-group why nothing fulfils it as such.
func (c *cache) missing(d, next int32) []*Reason {
	var list []*Reason
	for ; d != next; d = c.deps[d].next {
		dep := &c.deps[d]
		if dep.kind.negative() || len(c.targets(dep)) > 0 {
			continue
		}
		name := c.pretty(dep.target)
		n := &c.pkgs[dep.target]
		switch {
		case n.versions != 0:
			list = append(list, &Reason{Text: name + " (" + opNames[dep.op] + " " + string(dep.version) + ") is not available: " +
				c.versionList(dep.target)})
		case n.provides != 0:
			list = append(list, &Reason{Text: name + " is provided, but in no version that is " + opNames[dep.op] + " " + string(dep.version)})
		default:
			list = append(list, &Reason{Text: name + " is not in any index" + didYouMean(c.nearNames(name))})
		}
	}
	return list
}

func didYouMean(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(names, ", ") + "?"
}

// nearNames are up to three real packages whose names are closest to name.
func (c *cache) nearNames(name string) []string {
	name, _, _ = strings.Cut(name, ":")
	const edit = 2 // an edit counts two, a look-alike one
	limit := edit * (1 + len(name)/5)
	best := limit
	var names []string
	for g := 1; g < len(c.groups); g++ {
		n := c.groups[g].name
		if n == name || edit*(len(n)-len(name)) > best || edit*(len(name)-len(n)) > best {
			continue
		}
		p := c.preferred(int32(g), true)
		if p == 0 || c.pkgs[p].versions == 0 {
			continue
		}
		switch far := distance(name, n, best, edit); {
		case far < best:
			best, names = far, append(names[:0], n)
		case far == best:
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names[:min(3, len(names))]
}

// distance is the weighted number of edits (Levenshtein) between two names, or more than limit as soon as that is
// sure.
func distance(a, b string, limit, edit int) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j * edit
	}
	for i := 1; i <= len(a); i++ {
		diagonal, best := row[0], i*edit
		row[0] = best
		for j := 1; j <= len(b); j++ {
			change := diagonal
			switch x, y := a[i-1], b[j-1]; {
			case x == y:
			case lookAlike(x) == lookAlike(y):
				change++
			default:
				change += edit
			}
			diagonal = row[j]
			row[j] = min(change, row[j]+edit, row[j-1]+edit)
			best = min(best, row[j])
		}
		if best > limit {
			return best
		}
	}
	return row[len(b)]
}

// lookAlike maps characters that are easily taken for one another to one of them.
func lookAlike(c byte) byte {
	switch c {
	case '1', 'i', 'I', 'L':
		return 'l'
	case '0', 'O':
		return 'o'
	case '_', '.':
		return '-'
	}
	return c
}
