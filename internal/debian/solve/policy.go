package solve

import (
	"math"

	"n3x/internal/debian"
)

// candidate is the version apt would install (apt-pkg/policy.cc): the highest pin wins, then the highest version;
// what is installed is not replaced by an older version below pin 1000.
func (c *cache) candidate(p int32) int32 {
	best, bestPin := int32(0), -1
	cur := c.pkgs[p].current
	for v := c.pkgs[p].versions; v != 0; v = c.vers[v].next {
		pin := c.pin(v)
		if pin == 0 || pin <= bestPin {
			continue
		}
		if cur != 0 && pin < 1000 && c.version(v).Compare(c.version(cur)) < 0 {
			continue
		}
		best, bestPin = v, pin
	}
	return best
}

const (
	defaultPin   = 500
	installedPin = 100
)

// pin is the priority of a version: the highest among its origins.
func (c *cache) pin(v int32) int {
	n := &c.vers[v]
	best := math.MinInt
	if n.installed != nil {
		best = installedPin
	}
	if n.archive {
		best = max(best, originPin(n.p))
	}
	for _, p := range n.also {
		best = max(best, originPin(p))
	}
	return best
}

func originPin(p *debian.Package) int {
	if p.Pin == 0 {
		return defaultPin
	}
	return p.Pin
}
