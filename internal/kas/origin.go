package kas

import (
	"cmp"
	"errors"
	"os"
	"slices"
	"strings"

	"n3x/internal/diag"
	"n3x/internal/yaml"
)

// Relocate gives an error about a place in a generated file the one in the kas files instead. text is what the file says of the
// entries of key (local_conf_header or bblayers_conf_header), from its first line on.
func (p *Project) Relocate(err error, file, text, key string) error {
	var e *diag.Error
	if errors.As(err, &e) && e.Pos.File == file {
		if pos := p.Origin(text, key, e.Pos.Line); !pos.IsZero() {
			e.Pos = pos
		}
	}
	return err
}

// Origin is the place in the kas files of one line of a generated file, the zero Pos for what n3x writes itself. The
// entries of the header key come first, sorted by key, each below a comment that names it.
func (p *Project) Origin(text, key string, line int) diag.Pos {
	lines := strings.Split(text, "\n")
	if line < 1 || line > len(lines) {
		return diag.Pos{}
	}
	for variable, k := range map[string]string{"MACHINE ": "machine", "DISTRO ": "distro", "BBMULTICONFIG ": "target"} {
		if n := p.Config.Lookup(k); n != nil && line > headerEnd(p, key) && strings.HasPrefix(lines[line-1], variable) {
			return n.Pos
		}
	}
	at := 0 // lines before the entry's text
	for _, e := range sortedEntries(p, key) {
		at++
		body, _ := e.Node.Text()
		n := strings.Count(body, "\n") + 1
		if line > at && line <= at+n {
			return lineOf(p, e.Node.Pos, line-at, lines[line-1])
		}
		at += n
	}
	return diag.Pos{}
}

// headerEnd counts the lines that the entries of a header key make.
func headerEnd(p *Project, key string) int {
	n := 0
	for _, e := range sortedEntries(p, key) {
		body, _ := e.Node.Text()
		n += strings.Count(body, "\n") + 2
	}
	return n
}

func sortedEntries(p *Project, key string) []yaml.Entry {
	entries := slices.Clone(p.Config.Lookup(key).Map().Entries())
	slices.SortFunc(entries, func(a, b yaml.Entry) int { return cmp.Compare(a.Key, b.Key) })
	return entries
}

// lineOf is the n-th line of a block scalar that begins at pos, when the file really has that text there, else pos.
func lineOf(p *Project, pos diag.Pos, n int, text string) diag.Pos {
	name := pos.File
	for _, f := range p.Files {
		if f.Path == name || strings.HasSuffix(f.Path, "/"+name) {
			name = f.Path
		}
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return pos
	}
	lines := strings.Split(string(data), "\n")
	if at := pos.Line + n; at <= len(lines) && strings.TrimSpace(lines[at-1]) == strings.TrimSpace(text) {
		return diag.Pos{File: pos.File, Line: at}
	}
	return pos
}
