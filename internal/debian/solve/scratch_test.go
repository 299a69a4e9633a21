package solve

import (
	"testing"
)

func TestShow(t *testing.T) {
	r, _ := syntheticWorld(17)
	for _, p := range r.Packages {
		t.Log(p.ID(), p.Index.Archive, p.Pin, "|", p.Depends, "|", p.Provides, p.MultiArch)
	}
	for _, p := range r.Installed {
		t.Log("inst", p.ID(), "|", p.Depends, "|", p.Provides, p.MultiArch)
	}
	u := NewUniverse(r)
	for p := range u.cache.pkgs {
		for v := u.cache.pkgs[p].versions; v != 0; v = u.cache.vers[v].next {
			t.Log(v, u.cache.versioned(v), u.cache.vers[v].p.Depends, len(u.cache.vers[v].also))
		}
	}
	plan, err := u.Solve("p0/suite0", "p0:amd64", "p0", "p5")
	t.Log(describe(plan, err), err)
}
