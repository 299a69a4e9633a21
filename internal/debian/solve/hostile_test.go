package solve

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"n3x/internal/debian"
)

// stanzas reads packages in the short form "name version: field: value; field: value", one a line.
func stanzas(t testing.TB, text string) []*debian.Package {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		head, fields, _ := strings.Cut(line, ";")
		id := strings.Fields(head)
		arch := "amd64"
		if len(id) > 2 {
			arch = id[2]
		}
		fmt.Fprintf(&b, "Package: %s\nVersion: %s\nArchitecture: %s\nPriority: optional\nSize: 1\n", id[0], id[1], arch)
		for f := range strings.SplitSeq(fields, ";") {
			if f = strings.TrimSpace(f); f != "" {
				b.WriteString(f + "\n")
			}
		}
		b.WriteString("\n")
	}
	return readPackages(t, strings.NewReader(b.String()), &debian.Index{Suite: "test", Archive: "stable", Codename: "test"})
}

// TestHostile asks about universes made to keep a solver busy: it must give up, or answer. One without an end is ended, and
// named, by the time limit of the tests.
func TestHostile(t *testing.T) {
	worlds := map[string]struct {
		universe string
		wanted   bool // it can be installed
	}{
		"layers of alternatives without an end":       {layers(60, "Depends: missing"), false},
		"layers of alternatives that exclude another": {layers(60, "Conflicts: a0"), false},
		"layers of alternatives":                      {layers(400, ""), true},
		"pigeons without enough holes":                {pigeons(11, 10), false},
		"pigeons with enough holes":                   {pigeons(9, 9), true},
		"a very long chain":                           {chain(20000), true}, // too deep for marking, not for searching
		"a ring":                                      {ring(2000), true},
		"everybody provides everything":               {crowd(150), true},
	}
	for name, w := range worlds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Solve(Request{Packages: stanzas(t, w.universe), Arch: "amd64", Install: []string{"a0"}})
			if refused := (*Unsatisfiable)(nil); err != nil && !errors.As(err, &refused) {
				t.Fatal(err)
			}
			if (err == nil) != w.wanted {
				t.Errorf("%.500v", err)
			}
		})
	}
}

func layers(n int, last string) string {
	var b strings.Builder
	for i := range n {
		for _, x := range "abc" {
			if i == n-1 {
				fmt.Fprintf(&b, "%c%d 1; %s\n", x, i, last)
			} else {
				fmt.Fprintf(&b, "%c%d 1; Depends: a%d | b%d | c%d\n", x, i, i+1, i+1, i+1)
			}
		}
	}
	return b.String()
}

func pigeons(n, holes int) string {
	var b, all strings.Builder
	for i := range n {
		var choices []string
		for h := range holes {
			choices = append(choices, fmt.Sprintf("p%dh%d", i, h))
			fmt.Fprintf(&b, "p%dh%d 1; Provides: hole%d; Conflicts: hole%d\n", i, h, h, h)
		}
		fmt.Fprintf(&b, "pigeon%d 1; Depends: %s\n", i, strings.Join(choices, " | "))
		fmt.Fprintf(&all, ", pigeon%d", i)
	}
	return b.String() + "a0 1; Depends: " + all.String()[2:] + "\n"
}

func chain(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "a%d 1; Depends: a%d (= 1)\n", i, i+1)
	}
	return b.String() + fmt.Sprintf("a%d 1\n", n)
}

func ring(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "a%d 1; Pre-Depends: a%d; Breaks: a%d (<< 1)\n", i, (i+1)%n, (i+2)%n)
	}
	return b.String()
}

func crowd(n int) string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("v%d", i))
	}
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "a%d 1; Provides: %s; Depends: %s; Recommends: %s\n", i, strings.Join(names, ", "), strings.Join(names, ", "), strings.Join(names, " | "))
	}
	return b.String()
}
