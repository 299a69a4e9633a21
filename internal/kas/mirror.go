package kas

import (
	"regexp"
	"strings"

	"n3x/internal/diag"
)

// premirror is one line of KAS_PREMIRRORS.
type premirror struct {
	start *regexp.Regexp // matches at the start of an address
	re    *regexp.Regexp
	repl  string
}

// pyGroup is a group reference of a Python replacement: \1, \g<1> or \g<name>.
var pyGroup = regexp.MustCompile(`\\(?:(\d{1,2})|g<(\w+)>)`)

// parsePremirrors reads the lines "REGEX REPLACEMENT" of KAS_PREMIRRORS; lines without exactly two words are ignored.
func parsePremirrors(s string) ([]premirror, error) {
	var out []premirror
	for line := range strings.Lines(s) {
		words := strings.Fields(line)
		if len(words) != 2 {
			continue
		}
		re, err := regexp.Compile(words[0])
		if err != nil {
			return nil, diag.Userf(diag.Pos{}, "KAS_PREMIRRORS: regular expression %q is not supported: %v", words[0], err).
				WithHint("look-around and back-references are not available; the rest of Python's syntax is")
		}
		repl := pyGroup.ReplaceAllString(strings.ReplaceAll(words[1], "$", "$$"), "$${$1$2}")
		out = append(out, premirror{regexp.MustCompile(`^(?:` + words[0] + `)`), re, strings.ReplaceAll(repl, `\\`, `\`)})
	}
	return out, nil
}

// effectiveURL is where r is fetched from: its url after the first premirror that fits.
func (c *checkouts) effectiveURL(r *Repo) string {
	for _, m := range c.mirror {
		if m.start.MatchString(r.URL) {
			return m.re.ReplaceAllString(r.URL, m.repl)
		}
	}
	return r.URL
}

// urlScheme is the scheme of an address, as Python's urlparse finds it.
var urlScheme = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*:`)

// qualifiedName is the folder name of a repository's reference clone, e.g. "github.com.ilbers.isar.git".
func qualifiedName(url string) string {
	rest := strings.TrimPrefix(url, urlScheme.FindString(url))
	rest = strings.TrimPrefix(rest, "//")
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		rest = rest[:i]
	}
	return strings.NewReplacer("@", ".", ":", ".", "/", ".", "*", ".").Replace(rest)
}
