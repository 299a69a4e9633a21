package solve

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"n3x/internal/arch"
	"n3x/internal/debian"
)

const village = `
	base-files 13 ; Essential: yes; Pre-Depends: awk
	mawk 1.3 ; Provides: awk; Priority: required
	gawk 5.2 ; Provides: awk
	g++ 4 ; Depends: libc6 (>= 2)
	libc6 2.40 ; Multi-Arch: same
	libc6 2.40 i386 ; Multi-Arch: same
	libc6 2.36
	curl 8.14 ; Depends: libcurl (= 8.14), ca-certificates; Recommends: bash
	curl 7.88 ; Depends: libcurl (= 7.88)
	libcurl 8.14 ; Depends: libc6 (>= 2.38)
	libcurl 7.88
	ca-certificates 2025 all ; Multi-Arch: foreign; Depends: openssl | libc6
	openssl 3 ; Depends: libc6
	bash 5
	exim 4 ; Depends: exim-light | exim-heavy
	exim-light 4 ; Provides: mta; Conflicts: mta
	exim-heavy 4 ; Provides: mta; Conflicts: mta; Depends: libmissing
	postfix 3 ; Provides: mta; Conflicts: mta
	only-one 1 ; Provides: solo (= 7)
	gcc 14 i386 ; Depends: libc6 (>= 2)
	tool 1 ; Depends: python3:any, libc6:i386
	python3 3.13 ; Multi-Arch: allowed
`

func villageRequest(t testing.TB) Request {
	return Request{Packages: stanzas(t, village), Arch: "amd64", Foreign: []arch.Arch{"i386"}}
}

// villageAnswers are what apt 3.0 answers, too: TestVillageRealApt asks it.
var villageAnswers = []struct{ words, want string }{
	{"curl", "ca-certificates:all=2025 curl:amd64=8.14 libc6:amd64=2.40 libcurl:amd64=8.14"},
	{"ca-certificates", "ca-certificates:all=2025 libc6:amd64=2.40 openssl:amd64=3"},
	{"ca-certificates openssl-", "ca-certificates:all=2025 libc6:amd64=2.40"},
	{"curl=7.88", ""},
	{"curl=7.88 libcurl=7.88", "curl:amd64=7.88 libcurl:amd64=7.88"},
	{"curl=7* libcurl=7*", "curl:amd64=7.88 libcurl:amd64=7.88"},
	{"g++", "g++:amd64=4 libc6:amd64=2.40"},
	{"g+++", "g++:amd64=4 libc6:amd64=2.40"},
	{"libc6+ libc6:i386", "libc6:amd64=2.40 libc6:i386=2.40"},
	{"solo", "only-one:amd64=1"},
	{"solo=7", "only-one:amd64=1"},
	{"base-files", "base-files:amd64=13 mawk:amd64=1.3"},
	{"base-files gawk", "base-files:amd64=13 gawk:amd64=5.2"},
	{"gcc", "gcc:i386=14 libc6:i386=2.40"},
	{"tool", "libc6:i386=2.40 python3:amd64=3.13 tool:amd64=1"},
	{"curl/stable bash/trixie-", ""},
	{"bash/test", "bash:amd64=5"},
	{"exim", "exim:amd64=4 exim-light:amd64=4"},
	{"libc6-", ""},
}

func TestSolve(t *testing.T) {
	u := NewUniverse(villageRequest(t))
	for _, c := range villageAnswers {
		plan, err := u.Solve(strings.Fields(c.words)...)
		var ids []string
		if err == nil {
			for _, p := range plan.Install {
				ids = append(ids, p.ID())
			}
		}
		if got := strings.Join(ids, " "); got != c.want {
			t.Errorf("%s: %s (%v)\nwant %s", c.words, got, err, c.want)
		}
	}
}

// TestVillageRealApt holds the answers above, and more words, against a real apt.
func TestVillageRealApt(t *testing.T) {
	tree, r := realApt(t), villageRequest(t)
	s := newAptSetup(t, tree, r)
	defer s.remove()
	words := []string{
		"postfix exim", "exim exim-light-", "bash bash-", "mta", "mta-", "curl/test", "curl/now", "curl=installed", "curl=newest",
		"curl=candidate", "curl libcurl=7.88", "python3:any", "gcc:any", "openssl:native", "ca-certificates:i386", "libc6:i386=2.40",
		"libc6=2.3*", "solo-", "qqq-", "exim-heavy-", "tool libc6:i386-", "awk", "awk-",
	}
	for _, c := range villageAnswers {
		words = append(words, c.words)
	}
	u := NewUniverse(r)
	for _, w := range words {
		want, _ := s.install(t, strings.Fields(w))
		plan, err := u.Solve(strings.Fields(w)...)
		if diff := cmp.Diff(sorted(want), sorted(describe(plan, err))); diff != "" {
			t.Errorf("%s (-apt +n3x, %v):\n%s", w, err, diff)
		}
	}
}

// TestRefusals holds the trees of reasons, as people read them.
func TestRefusals(t *testing.T) {
	u := NewUniverse(villageRequest(t))
	for _, c := range []struct{ words, want string }{
		{"cur1", `cannot install cur1:
  unknown package "cur1"; did you mean curl?`},
		{"qqqqqq bash=9 gcc:riscv64", `cannot install qqqqqq bash=9 gcc:riscv64:
  unknown package "qqqqqq"
  package bash has no version "9": there is 5 (test)
  unknown architecture "riscv64" of package "gcc": known are amd64, i386`},
		{"mta", `cannot install mta:
  package mta is virtual: choose one of exim-heavy 4, exim-light 4, postfix 3`},
		{"curl=7.88", `cannot install curl=7.88:
  libcurl 7.88 is needed: curl 7.88 Depends: libcurl (= 7.88)
    curl 7.88 was asked for
  libcurl 7.88 is not the candidate, 8.14 is`},
		{"postfix exim", `cannot install postfix exim:
  exim 4 was asked for
  exim 4 Depends: exim-light | exim-heavy, which cannot be installed
    exim-light 4 cannot be installed with postfix 3: exim-light 4 Conflicts: mta
      postfix 3 was asked for
    exim-heavy 4 cannot be installed with postfix 3: exim-heavy 4 Conflicts: mta
      postfix 3 (as above)`},
		{"exim exim-light-", `cannot install exim exim-light-:
  exim-heavy 4 is needed: exim 4 Depends: exim-light | exim-heavy
    exim 4 was asked for
    exim-light was asked not to be there
  exim-heavy 4 Depends: libmissing, which cannot be installed
    libmissing is not in any index`},
		{"python* task^ ?any ./a.deb", `cannot install python* task^ ?any ./a.deb:
  "python*": wildcards and regular expressions are not supported: name the packages
  "task^": tasks are not supported: name the packages
  "?any": search patterns are not supported: name the packages
  "./a.deb": package files are not supported here: name a package of an index`},
		{"bash bash-", `cannot install bash bash-:
  package bash was asked both to be installed and not to be`},
	} {
		_, err := u.Solve(strings.Fields(c.words)...)
		var refused *Unsatisfiable
		if !errors.As(err, &refused) {
			t.Errorf("%s: %v", c.words, err)
			continue
		}
		if diff := cmp.Diff(c.want, err.Error()); diff != "" {
			t.Errorf("%s:\n%s", c.words, diff)
		}
	}
}

func TestInstalled(t *testing.T) {
	r := villageRequest(t)
	for _, p := range stanzas(t, `
		libcurl 7.88
		curl 7.88; Depends: libcurl (= 7.88)
		exim 4; Depends: exim-light | exim-heavy
		exim-light 4; Provides: mta; Conflicts: mta
		base-files 13; Essential: yes
		old 1; Essential: yes; Depends: libcurl (<< 8)
	`) {
		p.Index, p.Pin, p.Size = nil, 0, 0
		r.Installed = append(r.Installed, p)
	}
	u := NewUniverse(r)
	for _, c := range []struct{ words, want string }{
		{"curl", "refused"}, // it would remove an essential package
		{"postfix", "install postfix:amd64=3\nremove exim-light=4\nremove exim=4\n"},
		{"exim-light-", "remove exim-light=4\nremove exim=4\n"},
		{"base-files-", "refused"},
		{"curl=7.88", "nothing\n"},
		{"openssl", "install libc6:amd64=2.40\ninstall openssl:amd64=3\n"},
	} {
		plan, err := u.Solve(strings.Fields(c.words)...)
		if diff := cmp.Diff(c.want, sorted(describe(plan, err))); diff != "" {
			t.Errorf("%s (%v):\n%s", c.words, err, diff)
		}
	}
}

func TestPins(t *testing.T) {
	stable, testing := &debian.Index{Suite: "stable", Codename: "stable"}, &debian.Index{Suite: "testing", Codename: "testing"}
	a, b := stanzas(t, "x 1; Depends: y\ny 1")[:2], stanzas(t, "x 2; Depends: y (>= 2)\ny 2")[:2]
	for _, c := range []struct {
		old, young int
		words      string
		want       string
	}{
		{500, 500, "x", "x=2 y=2"}, {500, 100, "x", "x=1 y=1"}, {500, -1, "x/testing", ""}, {500, 100, "x/testing", "x=2 y=2"},
		{990, 500, "x", "x=1 y=1"}, {-1, -1, "x", ""}, {500, 0, "x", "x=2 y=2"},
	} {
		for i := range a {
			a[i].Index, a[i].Pin, b[i].Index, b[i].Pin = stable, c.old, testing, c.young
		}
		plan, err := Solve(Request{Packages: slices.Concat(a, b), Arch: "amd64", Install: strings.Fields(c.words)})
		var got []string
		if err == nil {
			for _, p := range plan.Install {
				got = append(got, p.Name+"="+string(p.Version))
			}
		}
		if s := strings.Join(got, " "); s != c.want && !(c.young == -1 && c.words == "x/testing" && s == "x=2 y=2") {
			t.Errorf("pins %d and %d, %s: %s, want %s (%v)", c.old, c.young, c.words, s, c.want, err)
		}
	}
}

func TestPlanSaysWhatIsAuto(t *testing.T) {
	plan, err := NewUniverse(villageRequest(t)).Solve("curl", "openssl")
	if err != nil {
		t.Fatal(err)
	}
	var auto []string
	for _, p := range plan.Install {
		if plan.Auto[p] {
			auto = append(auto, p.Name)
		}
	}
	if got := strings.Join(auto, " "); got != "ca-certificates libc6 libcurl" {
		t.Error(got)
	}
}

// TestDuplicates: the same build from two indices is one version, fetched from the index that is pinned higher; a
// different build of the same version is another one, and the first index wins.
func TestDuplicates(t *testing.T) {
	first, second, other := stanzas(t, "a 1; Depends: b\nb 1"), stanzas(t, "a 1; Depends: b"), stanzas(t, "a 1; Installed-Size: 7")
	second[0].Index, second[0].Pin = &debian.Index{Suite: "second"}, 600
	plan, err := Solve(Request{Packages: slices.Concat(first, second), Arch: "amd64", Install: []string{"a"}})
	if err != nil || plan.Install[0] != second[0] || len(plan.Install) != 2 {
		t.Errorf("%v %v", plan, err)
	}
	plan, err = Solve(Request{Packages: slices.Concat(other, first), Arch: "amd64", Install: []string{"a"}})
	if err != nil || plan.Install[0] != other[0] || len(plan.Install) != 1 {
		t.Errorf("%v %v", plan, err)
	}
}

func TestEssential(t *testing.T) {
	list := stanzas(t, "b 1; Essential: yes\na 1; Essential: yes\na 2; Essential: yes\nc 1; Essential: yes\nc 2\nd 1 i386; Essential: yes\ne 1; Priority: required")
	list[6].Priority = "required"
	var ids []string
	for _, p := range Essential(list, "amd64") {
		ids = append(ids, p.ID())
	}
	if got := strings.Join(ids, " "); got != "a:amd64=2 b:amd64=1" {
		t.Error(got)
	}
	if got := Required(list, "amd64"); len(got) != 1 || got[0].Name != "e" {
		t.Error(got)
	}
}

// TestUniverseIsShared asks one universe from several goroutines; run it with -race.
func TestUniverseIsShared(t *testing.T) {
	u := NewUniverse(villageRequest(t))
	var wg sync.WaitGroup
	for _, words := range []string{"curl", "postfix exim", "exim", "cur1", "postfix exim"} {
		wg.Add(1)
		go func() {
			defer wg.Done()
			first, err1 := u.Solve(strings.Fields(words)...)
			again, err2 := u.Solve(strings.Fields(words)...)
			if describe(first, err1) != describe(again, err2) {
				t.Errorf("%s: two answers", words)
			}
		}()
	}
	wg.Wait()
}

func TestSortAndHeap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	less := func(a, b int) bool { return a < b }
	for n := range 200 {
		a := make([]int, n)
		for i := range a {
			a[i] = rng.IntN(1 + n/2)
		}
		want := slices.Clone(a)
		slices.Sort(want)
		b, h := slices.Clone(a), []int{}
		sortFunc(b, less)
		for _, x := range a {
			h = append(h, x)
			pushHeap(h, less)
		}
		for k := len(h); k > 1; k-- {
			popHeap(h[:k], less)
		}
		makeHeap(a, less)
		for k := len(a); k > 1; k-- {
			popHeap(a[:k], less)
		}
		for _, got := range [][]int{a, b, h} {
			if !slices.Equal(got, want) {
				t.Fatalf("%v, want %v", got, want)
			}
		}
	}
	// What std::sort of GNU libstdc++ 12 makes of keys that are mostly equal, and the order in which std::pop_heap
	// takes the same elements from a heap.
	type item struct{ key, id int }
	byKey := func(a, b item) bool { return a.key < b.key }
	var items, heap []item
	for i := range 24 {
		items = append(items, item{i % 3, i})
		heap = append(heap, item{i % 3, i})
		pushHeap(heap, byKey)
	}
	sortFunc(items, byKey)
	for k := len(heap); k > 1; k-- {
		popHeap(heap[:k], byKey)
	}
	slices.Reverse(heap)
	for _, c := range []struct {
		got  []item
		want string
	}{
		{items, "[0 3 21 6 18 9 15 12 1 22 19 16 13 10 7 4 11 14 8 17 5 20 2 23]"},
		{heap, "[2 5 14 11 23 8 20 17 13 1 19 22 10 4 7 16 3 6 15 12 0 18 9 21]"},
	} {
		var ids []int
		for _, x := range c.got {
			ids = append(ids, x.id)
		}
		if got := fmt.Sprint(ids); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}
