package layers

import (
	"regexp"
	"strings"
	"sync"
)

var compiled sync.Map // pattern -> *regexp.Regexp

// fnmatch is Python's fnmatch.fnmatchcase: * and ? match slashes too, and [!...] is a negated set.
func fnmatch(pattern, name string) bool {
	re, ok := compiled.Load(pattern)
	if !ok {
		re, _ = compiled.LoadOrStore(pattern, regexp.MustCompile(`(?s)^(?:`+translate(pattern)+`)$`))
	}
	return re.(*regexp.Regexp).MatchString(name)
}

func translate(pattern string) string {
	var b strings.Builder
	rest := []rune(pattern)
	for len(rest) > 0 {
		c := rest[0]
		rest = rest[1:]
		switch c {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteByte('.')
		case '[':
			set, n := runeSet(rest)
			if n == 0 {
				b.WriteString(`\[`)
				continue
			}
			b.WriteString(set)
			rest = rest[n:]
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	return b.String()
}

// never matches no character at all.
const never = `[^\x{0}-\x{10FFFF}]`

// runeSet reads a set whose [ has been read, and says how many characters it took; 0 when it is not closed.
func runeSet(s []rune) (expression string, n int) {
	end, negate := 0, false
	if len(s) > 0 && s[0] == '!' {
		end, negate = 1, true
	}
	first := end
	if end < len(s) && s[end] == ']' {
		end++ // a ] at the beginning is a member
	}
	for end < len(s) && s[end] != ']' {
		end++
	}
	if end >= len(s) {
		return "", 0
	}
	var b strings.Builder
	for members := s[first:end]; len(members) > 0; {
		if len(members) > 2 && members[1] == '-' {
			if members[0] <= members[2] {
				b.WriteString(member(members[0]) + "-" + member(members[2]))
			}
			members = members[3:]
			continue
		}
		b.WriteString(member(members[0]))
		members = members[1:]
	}
	switch {
	case b.Len() == 0 && negate:
		return ".", end + 1
	case b.Len() == 0:
		return never, end + 1
	case negate:
		return "[^" + b.String() + "]", end + 1
	}
	return "[" + b.String() + "]", end + 1
}

func member(r rune) string {
	if strings.ContainsRune(`\]^-[&~|`, r) {
		return `\` + string(r)
	}
	return string(r)
}
