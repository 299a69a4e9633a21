package solve

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"n3x/internal/arch"
	"n3x/internal/debian"
	"os"
	"os/exec"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"
)

func loadXZ(t testing.TB, path string, ix *debian.Index) []*debian.Package {
	out, err := exec.Command("xz", "-dc", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	return readPackages(t, bytes.NewReader(out), ix)
}

func sortLines(s string) string {
	l := strings.SplitAfter(s, "\n")
	sort.Strings(l)
	return strings.Join(l, "")
}

// cached answer
func ask(t testing.TB, s *aptSetup, words []string) (string, string, time.Duration) {
	h := sha256.Sum256([]byte(s.dir + strings.Join(words, " ")))
	f := fmt.Sprintf("/tmp/solve/answers/%x", h[:8])
	if b, err := os.ReadFile(f); err == nil {
		a, o, _ := strings.Cut(string(b), "\x00")
		o, d, _ := strings.Cut(o, "\x00")
		dd, _ := time.ParseDuration(d)
		return a, o, dd
	}
	if os.Getenv("ONLYCACHED") != "" {
		return "none", "", 0
	}
	t0 := time.Now()
	a, o := s.install(t, words)
	a = sortLines(a)
	d := time.Since(t0)
	os.MkdirAll("/tmp/solve/answers", 0o755)
	os.WriteFile(f, []byte(a+"\x00"+o+"\x00"+d.String()), 0o644)
	return a, o, d
}

func TestScratch(t *testing.T) {
	ix := &debian.Index{Archive: "stable", Codename: "trixie"}
	pk := loadXZ(t, os.Getenv("PK"), ix)
	r := Request{Packages: pk, Arch: arch.Arch("amd64")}
	t0 := time.Now()
	u := NewUniverse(r)
	t.Log("universe", time.Since(t0), len(pk), len(u.cache.pkgs), len(u.cache.deps))
	t0 = time.Now()
	NewUniverse(r)
	t.Log("universe", time.Since(t0), len(pk), len(u.cache.pkgs), len(u.cache.deps))
	if os.Getenv("N") == "" {
		return
	}
	s := newAptSetup(t, realApt(t), r)
	rng := rand.New(rand.NewPCG(1, 2))
	good, bad, refused, none := 0, 0, 0, 0
	n, _ := strconv.Atoi(os.Getenv("N"))
	for i := 0; i < n; i++ {
		k := 5 + rng.IntN(56)
		if i%2 == 0 {
			k = 2 + rng.IntN(5)
		}
		var words []string
		for range k {
			words = append(words, pk[rng.IntN(len(pk))].Name)
		}
		want, out, dur := ask(t, s, words)
		if want == "none" {
			none++
			continue
		}
		t1 := time.Now()
		plan, err := u.Solve(words...)
		d := time.Since(t1)
		mine := sortLines(describe(plan, err))
		verdict := "same"
		if mine == want {
			good++
			if want == "refused" {
				refused++
			}
		} else {
			bad++
			verdict = "DIFFER"
		}
		fmt.Printf("%d words=%d mine=%v apt=%v %s refused=%v/%v sat=%v\n", i, k, d, dur, verdict, mine == "refused", want == "refused", strings.Contains(out, "3.0 solver"))
		if mine != want && os.Getenv("V") != "" {
			t.Logf("case %d %v: %v", i, d, words)
			os.WriteFile("/tmp/solve/mine", []byte(mine), 0644)
			os.WriteFile("/tmp/solve/apt", []byte(want), 0644)
			df, _ := exec.Command("diff", "/tmp/solve/mine", "/tmp/solve/apt").Output()
			t.Logf("%.600s", df)
			if err != nil {
				t.Logf("%.800s", err)
			}
			if strings.Contains(out, "E:") || strings.Contains(out, "3.0 solver") {
				t.Logf("APT %.1500s", out)
			}
			break
		}
	}
	t.Logf("good %d (refused %d) bad %d none %d", good, refused, bad, none)
}

func TestSynth(t *testing.T) {
	from, _ := strconv.Atoi(os.Getenv("FROM"))
	to, _ := strconv.Atoi(os.Getenv("TO"))
	tree := realApt(t)
	good, bad, refused, sat, contradiction := 0, 0, 0, 0, 0
	for seed := from; seed < to; seed++ {
		r, reqs := syntheticWorld(seed)
		s := newAptSetup(t, tree, r)
		u := NewUniverse(r)
		for i, words := range reqs {
			want, out := s.install(t, words)
			plan, err := u.Solve(words...)
			mine, want := sortLines(describe(plan, err)), sortLines(want)
			if plan != nil && plan.searched {
				sat++
			}
			if strings.Contains(out, "MaxLoopCount") || strings.Contains(out, " configure ") || strings.Contains(out, "E: Conf Broken") {
				continue
			}
			if mine == want {
				good++
				if mine == "refused" {
					refused++
					if u, ok := err.(*Unsatisfiable); ok && len(u.Reasons) == 2 {
						contradiction++
					}
				}
				continue
			}
			bad++
			if bad <= 3 {
				t.Logf("seed %d req %d %s %v\nMINE\n%s\nAPT\n%s\n%s", seed, i, s.dir, words, mine, want, out)
				if err != nil {
					t.Log(err)
				}
			}
		}
		if bad == 0 || os.Getenv("KEEP") == "" {
			os.RemoveAll(tree.dir + s.dir)
		}
		if bad > 200 || (bad > 0 && os.Getenv("KEEP") != "") {
			break
		}
	}
	t.Logf("good %d (refused %d, contradiction %d, 3.0 solver %d) bad %d", good, refused, contradiction, sat, bad)
}
