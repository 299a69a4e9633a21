package solve

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"n3x/internal/debian"
)

// kind is the field a dependency comes from.
type kind uint8

const (
	preDepends kind = iota
	depends
	conflicts
	breaks
	recommends
	suggests
	replaces
	enhances
)

var kindNames = [...]string{"Pre-Depends", "Depends", "Conflicts", "Breaks", "Recommends", "Suggests", "Replaces", "Enhances"}

func (k kind) negative() bool { return k == conflicts || k == breaks }

// critical dependencies make a tree broken when they do not hold.
func (k kind) critical() bool { return k <= breaks }

// op is a version operator, ordered for a small struct.
type op uint8

const (
	opNone op = iota
	opLess
	opLessEq
	opEqual
	opGreaterEq
	opGreater
	opNotEqual // only between the architectures of one Multi-Arch: same package
)

func operator(s string) op {
	switch s {
	case "<<":
		return opLess
	case "<=":
		return opLessEq
	case "=":
		return opEqual
	case ">=":
		return opGreaterEq
	case ">>":
		return opGreater
	}
	return opNone
}

var opNames = [...]string{"", "<<", "<=", "=", ">=", ">>", "!="}

// multi is what a version declares about other architectures.
type multi uint8

const (
	multiSame multi = 1 << iota
	multiForeign
	multiAllowed
	archAll // Architecture: all
)

// The cache's nodes refer to one another by index; index 0 of each table is "none". A package node is one name in
// one architecture, a group all architectures of a name. What only other packages speak of is a package node
// without versions; "name:any" and "name:arch" as relations write them are names of their own, in the pseudo
// architecture "any", provided by the packages they stand for.
type (
	groupNode struct {
		name        string
		first, last int32 // packages
		sources     int32 // versions built from the source package of this name
		qualified   bool  // some relation names this package as "name:arch"
	}

	pkgNode struct {
		group, next        int32 // next in the group
		arch               int32
		versions, current  int32 // newest first; current is the installed one
		revDeps, provides  int32 // who speaks of this package, and who provides it
		essential, guarded bool  // Essential: yes; Protected: yes
	}

	verNode struct {
		pkg, next            int32 // next is the next older version
		deps, provides       int32
		source, nextInSource int32 // group of the source package
		multi                multi
		priority             uint8 // 1 required .. 5 extra, 0 unknown
		fetchable, archive   bool  // can be downloaded; known from an index
		p                    *debian.Package
		also                 []*debian.Package // the same version in further indices
		installed            *debian.Package   // the same version as the status file has it
	}

	depNode struct {
		owner, target int32 // version, package
		next, nextRev int32
		version       debian.Version
		kind          kind
		op            op
		or, single    bool // "|" follows; there is no "|" on either side
		archSpecific  bool
		implicit      bool // between the architectures of one name
	}

	prvNode struct {
		owner, target          int32 // version, package
		next, nextOfOwner      int32
		version                debian.Version
		implicit, archSpecific bool
	}
)

// cache holds a universe as a graph. The numbers of its nodes, and the order of its lists, follow the order in which
// apt would have met the same names (apt-pkg/pkgcachegen.cc): ties between equal providers are broken by them.
type cache struct {
	arches     []string // native, foreign ones, the pseudo architecture "any"
	configured int      // how many of arches are real
	byName     map[string]int32
	groups     []groupNode
	pkgs       []pkgNode
	vers       []verNode
	deps       []depNode
	prvs       []prvNode

	walkOnce *sync.Once
	order    []int32 // packages in hash table order, made on demand

	tailOwner, tail int32 // the last dependency read of a version
}

const native = 0

func newCache(arches []string, size int) *cache {
	c := &cache{
		arches: append(slices.Clone(arches), "any"), configured: len(arches), walkOnce: new(sync.Once),
		// Debian's main index has 2.1 names, 6 relations and 1 provision a package.
		byName: make(map[string]int32, 5*size/2),
		groups: make([]groupNode, 1, 5*size/2+16), pkgs: make([]pkgNode, 1, 5*size/2+16), vers: make([]verNode, 1, size+1),
		deps: make([]depNode, 1, 13*size/2+16), prvs: make([]prvNode, 1, 3*size/2+16),
	}
	return c
}

func (c *cache) any() int32 { return int32(c.configured) }

// archNumber is the index of arch in c.arches; "all" counts as native. It is -1 for one that is not configured.
func (c *cache) archNumber(arch string) int32 {
	if arch == "all" || arch == "native" {
		return native
	}
	return int32(slices.Index(c.arches, arch))
}

// find is the package of group g for an architecture; any means the first one.
func (c *cache) find(g, arch int32) int32 {
	if g == 0 {
		return 0
	}
	p := c.groups[g].first
	if arch == c.any() {
		return p
	}
	for p != 0 && c.pkgs[p].arch != arch {
		p = c.pkgs[p].next
	}
	return p
}

// preferred is the package that a bare name means: native before foreign, real before virtual if asked for.
func (c *cache) preferred(g int32, real bool) int32 {
	if g == 0 {
		return 0
	}
	for a := range c.configured {
		if p := c.find(g, int32(a)); p != 0 && (!real || c.pkgs[p].versions != 0) {
			return p
		}
	}
	for p := c.groups[g].first; p != 0; p = c.pkgs[p].next {
		if !real || c.pkgs[p].versions != 0 {
			return p
		}
	}
	if real {
		return c.preferred(g, false)
	}
	return 0
}

func (c *cache) name(p int32) string { return c.groups[c.pkgs[p].group].name }

// pretty is a package's name for people: with its architecture when that is not the native one.
func (c *cache) pretty(p int32) string {
	a := c.pkgs[p].arch
	if a == native || a == c.any() {
		return c.name(p)
	}
	return c.name(p) + ":" + c.arches[a]
}

func (c *cache) version(v int32) debian.Version { return c.vers[v].p.Version }

// priorityNumber orders the values of the Priority field; what is not one of them counts as extra.
func priorityNumber(s string) uint8 {
	switch s {
	case "":
		return 0
	case "required":
		return 1
	case "important":
		return 2
	case "standard":
		return 3
	case "optional":
		return 4
	}
	return 5
}

// walk lists all packages in the order of apt's hash table (apt-pkg/pkgcache.cc), which decides between
// packages of equal weight.
func (c *cache) walk() []int32 {
	c.walkOnce.Do(func() { c.order = c.hashOrder() })
	return c.order
}

func (c *cache) hashOrder() []int32 {
	const buckets = 196613
	keys := make([]uint64, 0, len(c.groups)) // bucket and group
	for g := 1; g < len(c.groups); g++ {
		h := uint32(5381)
		name := c.groups[g].name
		for i := 0; i < len(name); i++ {
			h = 33*h + uint32(name[i]|0x20)
		}
		keys = append(keys, uint64(h%buckets)<<32|uint64(g))
	}
	slices.Sort(keys)
	order := make([]int32, 0, len(c.pkgs))
	for len(keys) > 0 {
		n := 1
		for n < len(keys) && keys[n]>>32 == keys[0]>>32 {
			n++
		}
		slices.SortFunc(keys[:n], func(x, y uint64) int {
			a, b := c.groups[uint32(x)].name, c.groups[uint32(y)].name
			return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
		})
		for _, key := range keys[:n] {
			for p := c.groups[uint32(key)].first; p != 0; p = c.pkgs[p].next {
				order = append(order, p)
			}
		}
		keys = keys[n:]
	}
	return order
}
