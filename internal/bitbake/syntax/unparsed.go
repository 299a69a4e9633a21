package syntax

import (
	"strings"

	"n3x/internal/diag"
)

// unparsed is the error for a line that is no statement, with the likeliest reason as its hint.
func (p *parser) unparsed(n int, s string) error {
	e := diag.Userf(p.pos(n), "unparsed line: %q", excerpt(s))
	if hint := p.reason(s); hint != "" {
		e.Hint = hint
	}
	return e
}

var confWords = []string{"include", "require", "include_all", "export", "unset", "addpylib", "addfragments"}

var recipeWords = []string{"inherit", "inherit_defer", "addtask", "deltask", "addhandler", "EXPORT_FUNCTIONS", "python", "fakeroot", "def"}

// excerpt is the start of a line that is too long to print.
func excerpt(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + " ..."
}

// reason guesses what the author meant.
func (p *parser) reason(s string) string {
	trimmed := strings.TrimLeftFunc(s, isSpace)
	if trimmed == "" {
		return "remove the backslash; it continues a line that holds nothing else"
	}
	if trimmed != s {
		if trimmed[0] == '#' {
			return "a comment must start in the first column"
		}
		return "a statement must start in the first column; the line before it may lack a backslash at its end"
	}
	word, _, _ := strings.Cut(s[:min(len(s), 40)], " ")
	for _, w := range recipeWords {
		if p.conf && word == w {
			if w == "inherit" {
				return `a configuration file cannot inherit; write INHERIT += "..." instead`
			}
			return word + " works in recipes and classes only, not in a .conf file"
		}
	}
	if strings.HasPrefix(s, "unset ") && strings.Contains(s, ":") {
		return "unset takes no overrides; assign an empty value instead"
	}
	if hint := quoteReason(s); hint != "" {
		return hint
	}
	words := confWords
	if !p.conf {
		words = append(recipeWords[:len(recipeWords):len(recipeWords)], confWords...)
	}
	if near := diag.Nearest(word, words); near != "" {
		return "did you mean " + near + "?"
	}
	if !p.conf && strings.HasSuffix(s, "{") {
		return "a function starts with NAME() { on one line"
	}
	return ""
}

// quoteReason explains an assignment whose operator or value is wrong.
func quoteReason(s string) string {
	eq := strings.IndexByte(s, '=')
	if eq <= 0 {
		return ""
	}
	name := strings.TrimRightFunc(s[:eq], func(r rune) bool { return isSpace(r) || strings.ContainsRune("?:+.=|-*&", r) })
	if i := strings.IndexByte(name, '['); i > 0 {
		name = name[:i]
	}
	if rest, ok := keyword(name, "export"); ok {
		name = rest
	}
	if !variableName(name, true) {
		return ""
	}
	value := strings.TrimFunc(s[eq:], func(r rune) bool { return isSpace(r) || strings.ContainsRune("=+.?:", r) })
	switch {
	case value == "":
		return `write the value in quotes, e.g. ` + name + ` = ""`
	case value[0] != '"' && value[0] != '\'':
		return "write the value in quotes: " + name + ` = "` + value + `"`
	case len(value) == 1 || value[len(value)-1] != value[0]:
		return "the value does not end with the quote " + value[:1] + " it starts with"
	case strings.Count(value, value[:1]) == 3:
		return "the value holds its own quote " + value[:1] + "; use the other kind around it"
	}
	return `the operators are = ?= ??= := += =+ .= =.`
}
