package solve

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"n3x/internal/arch"
	"n3x/internal/debian"
)

// The recorded corpus is a part of trixie's main index (relationship fields only) with requests drawn from it by the
// seeds below, and what apt 3.0 of trixie answered from exactly that index. It is made anew, inside a trixie tree, by
//
//	N3X_TEST_NETWORK=1 go test ./internal/debian/solve -run TestRecordedAnswers -record
var record = flag.Bool("record", false, "ask a real apt and write testdata anew")

const mirror = "http://deb.debian.org/debian"

// fetchIndex downloads one Packages file.
func fetchIndex(t testing.TB, suite, architecture string) []*debian.Package {
	t.Helper()
	url := fmt.Sprintf("%s/dists/%s/main/binary-%s/Packages.gz", mirror, suite, architecture)
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", url, response.Status)
	}
	z, err := gzip.NewReader(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return readPackages(t, z, &debian.Index{URI: mirror, Suite: suite, Archive: "stable", Codename: suite, Component: "main", Arch: architecture})
}

// world is one situation in which questions are asked.
type world struct {
	name      string
	request   Request
	questions []question
	simulate  bool // ask apt to carry the plan out, too
}

// worlds are the situations over an index and one of a foreign architecture, without questions.
func worlds(t testing.TB, amd64, i386 []*debian.Package) []world {
	t.Helper()
	tree, auto, err := minbase(amd64, Request{Arch: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	return []world{
		{name: "empty", request: Request{Packages: amd64, Arch: "amd64"}},
		{name: "minbase", request: Request{Packages: amd64, Arch: "amd64", Installed: tree, Auto: auto}},
		{name: "foreign", request: Request{Packages: slices.Concat(amd64, i386), Arch: "amd64", Foreign: []arch.Arch{"i386"}}},
	}
}

func corpusWorlds(t testing.TB) []world {
	amd64, i386 := readCorpus(t)
	return worlds(t, amd64, i386)
}

// draw fills worlds with questions: sets of random packages out of from, and hard ones.
func draw(list []world, from []*debian.Package, sets, others int) {
	seed := func(n uint64) *rand.Rand { return rand.New(rand.NewPCG(2, n)) }
	empty, based, both := &list[0], &list[1], &list[2]
	empty.questions = slices.Concat(drawSets(seed(1), from, sets), drawHard(seed(2), NewUniverse(empty.request), others))
	based.questions = slices.Concat(drawSets(seed(3), from, sets/10), drawHard(seed(4), NewUniverse(based.request), others/2))
	both.questions = slices.Concat(drawForeign(seed(5), both.request.Packages, "i386", others/2), drawSets(seed(6), from, sets/20))
}

// TestRealApt compares with apt-get on the whole of trixie's main index: 92 sets of 5 to 60 packages and 120 others, with N3X_TEST_FULL=1
// 230 and 160. apt needs some seconds for each.
func TestRealApt(t *testing.T) {
	tree := realApt(t)
	var agreed, refused, hardest int
	list := worlds(t, fetchIndex(t, "trixie", "amd64"), fetchIndex(t, "trixie", "i386"))
	sets, others := 80, 60
	if os.Getenv("N3X_TEST_FULL") != "" {
		sets, others = 200, 80
	}
	draw(list, list[0].request.Packages, sets, others)
	for _, w := range list {
		answers := askApt(t, tree, w)
		u := NewUniverse(w.request)
		for i, q := range w.questions {
			plan, err := u.Solve(q.words...)
			mine := sorted(describe(plan, err))
			if mine != answers[i] {
				t.Errorf("%s %s %v: n3x:\n%s\napt:\n%s", w.name, q.name, q.words, mine, answers[i])
				continue
			}
			agreed++
			switch {
			case err != nil:
				refused++
			case plan.searched:
				hardest++
			}
		}
	}
	t.Logf("%d answers agree, %d of them refusals, %d found by backtracking", agreed, refused, hardest)
	if refused < 20 {
		t.Errorf("only %d requests that cannot be met, want 20", refused)
	}
}

// askApt puts all questions of w to apt, as many at a time as there are processors to spare.
func askApt(t testing.TB, tree aptTree, w world) []string {
	t.Helper()
	s := newAptSetup(t, tree, w.request)
	defer s.remove()
	answers := make([]string, len(w.questions))
	s.install(t, w.questions[0].words) // makes apt's cache
	var wg sync.WaitGroup
	next := make(chan int)
	for range 2 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range next {
				if w.simulate {
					answers[i] = s.simulate(t, w.questions[i].words)
				} else {
					answers[i], _ = s.install(t, w.questions[i].words)
				}
				answers[i] = sorted(answers[i])
			}
		}()
	}
	for i := range w.questions {
		next <- i
	}
	close(next)
	wg.Wait()
	return answers
}

// sorted puts the lines of an answer into the one order that does not depend on how apt sorts names.
func sorted(answer string) string {
	lines := strings.SplitAfter(answer, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func TestRecordedAnswers(t *testing.T) {
	if *record {
		recordAnswers(t)
	}
	universes := map[string]*Universe{}
	for _, w := range corpusWorlds(t) {
		universes[w.name] = NewUniverse(w.request)
	}
	agreed, refused := 0, 0
	for block := range strings.SplitSeq(strings.TrimSpace(string(decompress(t, "trixie-answers"))), "\n\n") {
		head, want, _ := strings.Cut(block, "\n")
		words := strings.Fields(head)
		plan, err := universes[words[0]].Solve(words[1:]...)
		if mine := strings.TrimSpace(sorted(describe(plan, err))); mine != want {
			t.Errorf("%s: n3x:\n%s\napt:\n%s", head, mine, want)
			continue
		}
		agreed++
		if err != nil {
			refused++
		}
	}
	t.Logf("%d answers agree, %d of them refusals", agreed, refused)
	if agreed < 200 || refused < 20 {
		t.Errorf("%d answers with %d refusals is too small a corpus", agreed, refused)
	}
}

// TestSyntheticAnswers asks about made-up universes, in which everything that is rare in Debian is common. What apt
// answered is recorded by
//
//	N3X_TEST_NETWORK=1 go test ./internal/debian/solve -run TestSyntheticAnswers -record
func TestSyntheticAnswers(t *testing.T) {
	if *record {
		recordSynthetic(t)
	}
	agreed, refused, searched := 0, 0, 0
	var u *Universe
	var requests [][]string
	last := -1
	for block := range strings.SplitSeq(strings.TrimSpace(string(decompress(t, "synthetic-answers"))), "\n\n") {
		var seed, i int
		head, want, _ := strings.Cut(block, "\n")
		if _, err := fmt.Sscan(head, &seed, &i); err != nil {
			t.Fatal(err)
		}
		if seed != last {
			var r Request
			r, requests = syntheticWorld(seed)
			u, last = NewUniverse(r), seed
		}
		plan, err := u.Solve(requests[i]...)
		if mine := strings.TrimSpace(sorted(describe(plan, err))); mine != want {
			t.Errorf("seed %d request %d %v: n3x:\n%s\napt:\n%s", seed, i, requests[i], mine, want)
			continue
		}
		agreed++
		switch {
		case err != nil:
			refused++
		case plan.searched:
			searched++
		}
	}
	t.Logf("%d answers agree, %d of them refusals, %d found by backtracking", agreed, refused, searched)
	if agreed < 1000 || refused < 100 || searched < 20 {
		t.Errorf("%d answers, %d refusals, %d found by backtracking: the corpus is too small", agreed, refused, searched)
	}
}

// TestSyntheticRealApt asks a real apt about made-up universes that are not in the recorded corpus.
func TestSyntheticRealApt(t *testing.T) {
	tree := realApt(t)
	for seed := 100_000; seed < 100_040; seed++ {
		w := syntheticQuestions(seed)
		u := NewUniverse(w.request)
		for i, want := range askApt(t, tree, w) {
			words := w.questions[i].words
			plan, err := u.Solve(words...)
			if mine := sorted(describe(plan, err)); mine != want && want != unordered {
				t.Errorf("seed %d request %d %v: n3x:\n%s\napt:\n%s", seed, i, words, mine, want)
			}
		}
	}
}

func recordSynthetic(t *testing.T) {
	tree := realApt(t)
	var b strings.Builder
	var seeds []int
	for seed := 0; seed < 6000 && len(seeds) < 260; seed++ {
		if seed < 200 || searchedSeed(seed) {
			seeds = append(seeds, seed)
		}
	}
	for _, seed := range seeds {
		w := syntheticQuestions(seed)
		for i, answer := range askApt(t, tree, w) {
			if answer != unordered {
				fmt.Fprintf(&b, "%d %d\n%s\n\n", seed, i, strings.TrimSpace(answer))
			}
		}
	}
	compress(t, "synthetic-answers", []byte(b.String()))
}

func syntheticQuestions(seed int) world {
	r, requests := syntheticWorld(seed)
	w := world{name: fmt.Sprint("synthetic", seed), request: r, simulate: true}
	for _, words := range requests {
		w.questions = append(w.questions, question{words: words})
	}
	return w
}

// searchedSeed reports whether a world has a request that only the backtracking solver can meet.
func searchedSeed(seed int) bool {
	r, requests := syntheticWorld(seed)
	u := NewUniverse(r)
	return slices.ContainsFunc(requests, func(words []string) bool {
		plan, err := u.Solve(words...)
		return err == nil && plan.searched
	})
}

func recordAnswers(t *testing.T) {
	tree := realApt(t)
	amd64, i386 := reduce(t, fetchIndex(t, "trixie", "amd64"), fetchIndex(t, "trixie", "i386"))
	writeCorpus(t, amd64, i386)
	list := corpusWorlds(t)
	whole := NewUniverse(list[0].request)
	draw(list, slices.DeleteFunc(slices.Clone(list[0].request.Packages), func(p *debian.Package) bool {
		_, err := whole.Solve(p.Name)
		return err != nil
	}), 80, 400)
	var b strings.Builder
	for _, w := range list {
		// Most of what is drawn from a part of an index lacks something: keep few of the refusals.
		u, refusals := NewUniverse(w.request), 0
		w.questions = slices.DeleteFunc(w.questions, func(q question) bool {
			if _, err := u.Solve(q.words...); err != nil {
				refusals++
			} else {
				return false
			}
			return refusals > 25
		})
		for i, answer := range askApt(t, tree, w) {
			fmt.Fprintf(&b, "%s %s\n%s\n\n", w.name, strings.Join(w.questions[i].words, " "), strings.TrimSpace(answer))
		}
	}
	compress(t, "trixie-answers", []byte(b.String()))
}

// reduce keeps what a number of requests needs, and the other packages that their dependencies speak of.
func reduce(t *testing.T, amd64, i386 []*debian.Package) (small, foreign []*debian.Package) {
	r := Request{Packages: slices.Concat(amd64, i386), Arch: "amd64", Foreign: []arch.Arch{"i386"}}
	u := NewUniverse(r)
	rng := rand.New(rand.NewPCG(1, 1))
	keep := map[string]bool{"curl": true, "openssh-server": true, "linux-image-amd64": true, "systemd-sysv": true}
	tree, _, err := minbase(amd64, Request{Arch: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range tree {
		keep[p.Name] = true
	}
	questions := slices.Concat(drawHard(rng, u, 60), drawForeign(rng, i386, "i386", 6), drawSets(rng, amd64, 4))
	for name := range keep {
		questions = append(questions, question{words: []string{name}})
	}
	for _, q := range questions {
		plan, err := u.Solve(q.words...)
		if err != nil {
			for _, w := range q.words {
				keep[w] = true
			}
			continue
		}
		for _, p := range plan.Install {
			keep[p.Name] = true
			for _, d := range []debian.Dependency{p.PreDepends, p.Depends, p.Conflicts, p.Breaks} {
				for _, alternatives := range d {
					for _, a := range alternatives {
						keep[a.Name] = true
					}
				}
			}
		}
	}
	filter := func(list []*debian.Package) (kept []*debian.Package) {
		for _, p := range list {
			if keep[p.Name] {
				kept = append(kept, p)
			}
		}
		return kept
	}
	return filter(amd64), filter(i386)
}

func writeCorpus(t testing.TB, amd64, i386 []*debian.Package) {
	var b bytes.Buffer
	writePackages(&b, amd64, false)
	b.WriteString(foreignMark)
	writePackages(&b, i386, false)
	compress(t, "trixie", b.Bytes())
}

const foreignMark = "# i386\n"

// readCorpus reads the two indices of the corpus.
func readCorpus(t testing.TB) (amd64, i386 []*debian.Package) {
	t.Helper()
	index := &debian.Index{Suite: "trixie", Archive: "stable", Codename: "trixie", Component: "main"}
	one, two, ok := strings.Cut(string(decompress(t, "trixie")), foreignMark)
	if !ok {
		t.Fatal("testdata/trixie.zst has no second index")
	}
	return readPackages(t, strings.NewReader(one), index), readPackages(t, strings.NewReader(two), index)
}

func compress(t testing.TB, name string, data []byte) {
	t.Helper()
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(32<<20))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("testdata", name+".zst"), z.EncodeAll(data, nil), 0o644); err != nil {
		t.Fatal(err)
	}
}

func decompress(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".zst"))
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(nil, zstd.WithDecoderMaxWindow(64<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	text, err := z.DecodeAll(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func BenchmarkUniverse(b *testing.B) {
	r := corpusWorlds(b)[0].request
	b.ReportMetric(float64(len(r.Packages)), "packages")
	for b.Loop() {
		NewUniverse(r)
	}
}

func BenchmarkSolve(b *testing.B) {
	u := NewUniverse(corpusWorlds(b)[0].request)
	for b.Loop() {
		if _, err := u.Solve("linux-image-amd64", "systemd-sysv", "curl", "openssh-server"); err != nil {
			b.Fatal(err)
		}
	}
}
