package debian

import (
	"errors"
	"fmt"
	"strings"
)

// Version is a Debian version, [epoch:]upstream[-revision], e.g. "1:2.38.1-5+deb13u1".
type Version string

// ParseVersion checks that s has the parts of a version, as dpkg does when it reads one, and returns it without
// surrounding white space. Characters that dpkg only warns about are let through; see [Version.Validate].
func ParseVersion(s string) (Version, error) {
	v := strings.TrimSpace(s)
	if err := checkVersion(v); err != nil {
		return "", fmt.Errorf("version %q %w", s, err)
	}
	return Version(v), nil
}

func checkVersion(v string) error {
	if v == "" {
		return errors.New("is empty")
	}
	if strings.ContainsAny(v, " \t\n\r\v\f") {
		return errors.New("has white space inside")
	}
	if i := strings.IndexByte(v, ':'); i >= 0 {
		if err := checkEpoch(v[:i]); err != nil {
			return err
		}
		if v = v[i+1:]; v == "" {
			return errors.New("has nothing after the epoch")
		}
	}
	i := strings.LastIndexByte(v, '-')
	if i == len(v)-1 {
		return errors.New("has an empty revision")
	}
	if i == 0 {
		return errors.New("has nothing before the revision")
	}
	return nil
}

// Validate checks what Debian Policy 5.6.12 demands of the version of a new package.
func (v Version) Validate() error {
	if err := checkVersion(string(v)); err != nil {
		return fmt.Errorf("version %q %w", v, err)
	}
	_, upstream, revision := v.split()
	if !isDigit(upstream[0]) {
		return fmt.Errorf("version %q does not start with a digit", v)
	}
	if c := firstNot(upstream, ".-+~:"); c != "" {
		return fmt.Errorf("version %q has the invalid character %q", v, c)
	}
	if c := firstNot(revision, ".+~"); c != "" {
		return fmt.Errorf("version %q has the invalid character %q in its revision", v, c)
	}
	return nil
}

// checkEpoch accepts what dpkg does: a decimal number that fits into a C int.
func checkEpoch(e string) error {
	if e == "" {
		return errors.New("has an empty epoch")
	}
	n := 0
	for i := 0; i < len(e); i++ {
		if !isDigit(e[i]) {
			return fmt.Errorf("has the epoch %q, which is not a number", e)
		}
		if n = n*10 + int(e[i]-'0'); n > 1<<31-1 {
			return fmt.Errorf("has the epoch %q, which is too big", e)
		}
	}
	return nil
}

// firstNot is the first character of s that is neither a letter, a digit nor in punctuation.
func firstNot(s, punctuation string) string {
	for _, r := range s {
		alnum := r < 0x80 && (isDigit(byte(r)) || isAlpha(byte(r)))
		if !alnum && !strings.ContainsRune(punctuation, r) {
			return string(r)
		}
	}
	return ""
}

// Compare orders versions as `dpkg --compare-versions` does: negative when v is older than w, 0 when they are
// equivalent ("1.0" and "0:1.0-0"), positive when v is newer.
func (v Version) Compare(w Version) int {
	if v == w {
		return 0
	}
	ve, vu, vr := v.split()
	we, wu, wr := w.split()
	if c := compareNumbers(ve, we); c != 0 {
		return c
	}
	if c := compareFragment(vu, wu); c != 0 {
		return c
	}
	return compareFragment(vr, wr)
}

func (v Version) split() (epoch, upstream, revision string) {
	upstream = string(v)
	if i := strings.IndexByte(upstream, ':'); i >= 0 {
		epoch, upstream = upstream[:i], upstream[i+1:]
	}
	if i := strings.LastIndexByte(upstream, '-'); i >= 0 {
		upstream, revision = upstream[:i], upstream[i+1:]
	}
	return epoch, upstream, revision
}

// WithoutEpoch is v without its epoch, as file names have it.
func (v Version) WithoutEpoch() string {
	if i := strings.IndexByte(string(v), ':'); i >= 0 {
		return string(v[i+1:])
	}
	return string(v)
}

func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// compareFragment walks over alternating runs of non-digits and digits (deb-version(7), "Sorting algorithm").
func compareFragment(a, b string) int {
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		for (i < len(a) && !isDigit(a[i])) || (j < len(b) && !isDigit(b[j])) {
			if d := weight(a, i) - weight(b, j); d != 0 {
				return d
			}
			i, j = i+1, j+1
		}
		si, sj := i, j
		for i < len(a) && isDigit(a[i]) {
			i++
		}
		for j < len(b) && isDigit(b[j]) {
			j++
		}
		if d := compareNumbers(from(a, si, i), from(b, sj, j)); d != 0 {
			return d
		}
	}
	return 0
}

// from is s[i:j] where both ends may lie behind s: the shorter string is read as if it went on with nothing.
func from(s string, i, j int) string { return s[min(i, len(s)):min(j, len(s))] }

// weight sorts a tilde before the end of the string, that before letters, and letters before all else.
func weight(s string, i int) int {
	switch {
	case i >= len(s) || isDigit(s[i]):
		return 0
	case isAlpha(s[i]):
		return int(s[i])
	case s[i] == '~':
		return -1
	}
	return int(s[i]) + 256
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isAlpha(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
