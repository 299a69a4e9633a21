package recipe

import (
	"strconv"
	"strings"
)

// versionPart is a piece of a version: digits, letters, or one other character; rank orders the kinds.
type versionPart struct {
	rank  int // -1 a tilde, 0 a number, 1 letters, 2 anything else
	text  string
	empty bool // what a version that has ended counts as: a number that is less than any
}

// splitParts is BitBake's explode_version.
func splitParts(s string) []versionPart {
	var parts []versionPart
	for s != "" {
		n := 1
		rank := 2
		switch {
		case isDigit(s[0]):
			rank, n = 0, len(s)-len(strings.TrimLeft(s, "0123456789"))
		case isLetter(s[0]):
			rank = 1
			for n < len(s) && isLetter(s[n]) {
				n++
			}
		case s[0] == '~':
			rank = -1
		}
		text := s[:n]
		if rank == 0 {
			text = strings.TrimLeft(text, "0")
		}
		parts = append(parts, versionPart{rank: rank, text: text})
		s = s[n:]
	}
	return parts
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// compareParts orders two version or revision strings as bb.utils.vercmp_part does.
func compareParts(a, b string) int {
	va, vb := splitParts(a), splitParts(b)
	for i := 0; i < len(va) || i < len(vb); i++ {
		pa, pb := versionPart{empty: true}, versionPart{empty: true}
		if i < len(va) {
			pa = va[i]
		}
		if i < len(vb) {
			pb = vb[i]
		}
		switch {
		case pa.rank != pb.rank:
			return pa.rank - pb.rank
		case pa.empty:
			return -1
		case pb.empty:
			return 1
		case pa.rank == 0 && len(pa.text) != len(pb.text):
			return len(pa.text) - len(pb.text)
		}
		if c := strings.Compare(pa.text, pb.text); c != 0 {
			return c
		}
	}
	return 0
}

// version is what providers are compared by.
type version struct{ epoch, version, revision string }

func (v version) compare(w version) int {
	a, _ := strconv.Atoi(v.epoch)
	b, _ := strconv.Atoi(w.epoch)
	if a != b {
		return a - b
	}
	if c := compareParts(v.version, w.version); c != 0 {
		return c
	}
	return compareParts(v.revision, w.revision)
}

// splitVersion is bb.utils.split_version: [EPOCH:]VERSION[-REVISION].
func splitVersion(s string) version {
	var v version
	s = strings.Trim(s, " <>=")
	if parts := strings.Split(s, ":"); len(parts) > 1 {
		v.epoch, s = parts[0], parts[1]
	}
	if i := strings.LastIndexByte(s, '-'); i >= 0 {
		s, v.revision = s[:i], s[i+1:]
	}
	v.version = s
	return v
}

// compareOp is bb.utils.vercmp_string_op.
func compareOp(a, b, op string) bool {
	c := splitVersion(a).compare(splitVersion(b))
	switch op {
	case "=", "==":
		return c == 0
	case "<=":
		return c <= 0
	case ">=":
		return c >= 0
	case ">", ">>":
		return c > 0
	case "<", "<<":
		return c < 0
	}
	return c != 0
}

// VersionHolds tells whether version a stands in relation op ("<", "<=", "=", ">=", ">", "!=") to version b, by the
// rules of bb.utils.vercmp_string_op.
func VersionHolds(a, op, b string) bool { return compareOp(a, b, op) }
