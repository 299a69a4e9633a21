// SPDX-License-Identifier: MIT

package regex

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// steps allows a number of steps.
type steps int

func (s *steps) Step() error {
	if *s--; *s < 0 {
		return ErrSteps
	}
	return nil
}

// TestFind has what package pyeval's vectors (recorded from CPython) do not reach: modes, offsets and the step limit.
func TestFind(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		from          int
		mode          Mode
		advance       bool
		want          []int
	}{
		{"a", "bab", 0, Search, false, []int{1, 2}}, {"a", "bab", 0, Match, false, nil}, {"a", "aab", 0, Full, false, nil}, {"a*", "aa", 0, Full, false, []int{0, 2}},
		{"a|ab", "ab", 0, Full, false, []int{0, 2}}, {`\bb`, "ab b", 1, Search, false, []int{3, 4}}, {"^a", "aa", 1, Search, false, nil},
		{"a*", "ba", 0, Search, false, []int{0, 0}}, {"a*", "ba", 0, Search, true, []int{1, 2}}, {"|a", "a", 0, Search, true, []int{0, 1}},
		{"(a)|(b)", "b", 0, Search, false, []int{0, 1, -1, -1, 0, 1}}, {"(?<=a)b", "ab", 1, Search, false, []int{1, 2}}, {"€", "x€", 0, Search, false, []int{1, 2}},
	} {
		re, err := Compile(c.pattern, 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := re.Find([]rune(c.text), c.from, c.mode, c.advance, nil)
		if err != nil || cmp.Diff(c.want, got) != "" {
			t.Errorf("%q in %q from %d: got %v, %v; want %v", c.pattern, c.text, c.from, got, err, c.want)
		}
	}
}

func TestSteps(t *testing.T) {
	re, err := Compile("(a+)+$", 0)
	if err != nil {
		t.Fatal(err)
	}
	limit := steps(10_000)
	if _, err := re.Find([]rune("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"), 0, Search, false, &limit); !errors.Is(err, ErrSteps) {
		t.Errorf("got %v", err)
	}
}

func TestRefusedPatterns(t *testing.T) {
	for pattern, unsupported := range map[string]bool{
		"(": false, "[b-a]": false, "a**": false, "(?P<x>a)(?P<x>b)": false, "(?<=a*)b": false, `\8`: false, "x{2,1}": false, "(?P<a-b>x)": false,
		"a++": true, "(?>a)": true, "(?L:a)": true, `\N{DASH}`: true, "a{9999999}": true,
	} {
		_, err := Compile(pattern, 0)
		var e *Error
		if !errors.As(err, &e) || e.Unsupported != unsupported {
			t.Errorf("%q: %v", pattern, err)
		}
	}
}

// FuzzCompile looks for patterns that make the parser or the matcher panic.
func FuzzCompile(f *testing.F) {
	f.Add(`(?P<n>a|b)*?\1[^\w-]{2,3}(?(1)c|d)(?i:e)`, "abcde\n")
	f.Add(`(?<!a)(?=b$)\bé*`, "é b")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		re, err := Compile(pattern, 0)
		if err != nil {
			if !errors.As(err, new(*Error)) {
				t.Errorf("%q: %T", pattern, err)
			}
			return
		}
		limit := steps(10_000)
		if m, err := re.Find([]rune(text), 0, Search, false, &limit); err == nil && m != nil && (m[0] < 0 || m[1] < m[0]) {
			t.Errorf("%q in %q: %v", pattern, text, m)
		}
	})
}
