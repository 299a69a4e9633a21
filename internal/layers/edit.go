package layers

import (
	"regexp"
	"slices"
	"strings"

	"n3x/internal/bitbake/syntax"
	"n3x/internal/diag"
)

// Conf is conf/bblayers.conf of a build folder.
type Conf struct {
	Path   string // the file
	TopDir string // what ${TOPDIR} in it stands for
	Home   string // what ~ in it stands for; "" leaves it
}

// edited is a changed text of a bblayers.conf.
type edited struct {
	text       string
	notAdded   []string // were there before
	notRemoved []string // match no layer
}

// setting is one assignment to BBLAYERS.
type setting struct {
	first, last int    // lines
	start       string // the line up to the quote, without blanks at its end
	op          string
	words       []string
	edited      bool
}

var bblayersLine = regexp.MustCompile(`^BBLAYERS[ \t]*[?+:.]*=[+.]*[ \t]*(["'])`)

// edit adds layers to the assignments to BBLAYERS and removes those that match a pattern. An assignment that does not change
// is left as it is; one that does is written with a layer on each line.
func (c Conf) edit(text string, add, remove []string) (*edited, error) {
	lines := strings.SplitAfter(text, "\n")
	settings := findSettings(lines)
	if err := c.check(text, settings); err != nil {
		return nil, err
	}
	if len(settings) == 0 {
		return nil, diag.Userf(diag.Pos{File: c.Path}, "unable to find BBLAYERS in %s", c.Path).
			WithHint("it is edited only where the file itself assigns it; change the file that sets it")
	}
	e := &edited{}
	add, e.notAdded = c.missing(settings, add, remove)
	removed := map[string]bool{}
	for _, s := range settings {
		for _, pattern := range remove {
			if i := slices.IndexFunc(s.words, func(w string) bool { return c.matches(w, pattern) }); i >= 0 {
				s.words = slices.Delete(s.words, i, i+1)
				s.edited, removed[pattern] = true, true
			}
		}
	}
	for _, pattern := range remove {
		if !removed[pattern] && !slices.Contains(e.notRemoved, pattern) {
			e.notRemoved = append(e.notRemoved, pattern)
		}
	}
	plus := 0
	for _, s := range settings {
		if s.op == "+=" {
			plus++
		}
	}
	if len(add) > 0 && plus < 2 {
		// The first one, unless a later = makes it void.
		at := 0
		for i, s := range settings {
			if s.op == "=" || s.op == ":=" {
				at = i
			}
		}
		settings[at].words = append(settings[at].words, add...)
		settings[at].edited = true
		add = nil
	}
	e.text = rewrite(lines, settings, add)
	if e.text == text {
		return e, nil
	}
	if err := c.check(e.text, findSettings(strings.SplitAfter(e.text, "\n"))); err != nil {
		return nil, err // a quote in a layer's path, say
	}
	return e, nil
}

// findSettings finds the assignments to BBLAYERS.
func findSettings(lines []string) []*setting {
	var found []*setting
	var open *setting
	var value, quote string
	for i, line := range lines {
		var part string
		if open == nil {
			m := bblayersLine.FindStringSubmatchIndex(line)
			if m == nil {
				continue
			}
			quote = line[m[2]:m[3]]
			start := strings.TrimRight(line[:m[2]], " \t")
			open = &setting{first: i, start: start, op: strings.Trim(strings.TrimPrefix(start, "BBLAYERS"), " \t")}
			value, part = "", strings.TrimRight(line[m[3]:], " \t\r\n")
		} else {
			part = strings.TrimRight(line, " \t\r\n")
		}
		closed := strings.HasSuffix(part, quote)
		value += strings.TrimSuffix(strings.TrimSuffix(part, `\`), quote)
		if closed {
			open.last, open.words = i, strings.Fields(value)
			for j, w := range open.words {
				open.words[j] = trimSlash(w)
			}
			found, open = append(found, open), nil
		}
	}
	return found
}

// check compares what was found with what the file's grammar says, so that no text is changed that was misunderstood.
func (c Conf) check(text string, settings []*setting) error {
	f, err := syntax.Parse(c.Path, []byte(text))
	if err != nil {
		return err
	}
	n := 0
	for _, st := range f.Statements {
		a, ok := st.(*syntax.Assignment)
		if !ok || a.Name != "BBLAYERS" || a.Flag != "" {
			continue
		}
		words := strings.Fields(a.Value)
		for i, w := range words {
			words[i] = trimSlash(w)
		}
		if n >= len(settings) || !slices.Equal(words, settings[n].words) {
			return diag.Userf(diag.Pos{File: c.Path, Line: a.Line()}, "this assignment to BBLAYERS is not of a form that can be edited").
				WithHint(`write BBLAYERS = "...", with nothing behind the closing quote`)
		}
		n++
	}
	if n != len(settings) {
		return diag.Userf(diag.Pos{File: c.Path, Line: settings[n].first + 1}, "this line looks like an assignment to BBLAYERS, but is part of something else").
			WithHint("change the file by hand")
	}
	return nil
}

// missing divides layers into those to add and those that are there already.
func (c Conf) missing(settings []*setting, add, remove []string) (missing, present []string) {
	var have []string
	for _, s := range settings {
		if s.op == "=" || s.op == ":=" {
			have = nil
		}
		for _, w := range s.words {
			have = append(have, c.canonical(w), c.resolved(w))
		}
	}
	for _, layer := range add {
		layer = trimSlash(layer)
		if slices.Contains(have, c.canonical(layer)) && !slices.Contains(remove, layer) {
			present = append(present, layer)
		} else if !slices.Contains(missing, layer) {
			missing = append(missing, layer)
		}
	}
	return missing, present
}

// matches compares a layer as it is written, and as the path that it means, with a pattern.
func (c Conf) matches(word, pattern string) bool {
	pattern = c.canonical(pattern)
	return fnmatch(pattern, c.canonical(word)) || fnmatch(pattern, c.resolved(word))
}

func trimSlash(path string) string {
	if path == "/" {
		return ""
	}
	return strings.TrimSuffix(path, "/")
}

// canonical is a layer with ~ expanded.
func (c Conf) canonical(word string) string {
	word = trimSlash(word)
	if c.Home != "" && (word == "~" || strings.HasPrefix(word, "~/")) {
		return strings.TrimSuffix(c.Home, "/") + word[1:]
	}
	return word
}

// resolved is the path that a layer means, without detours.
func (c Conf) resolved(word string) string {
	return cleanPath(strings.ReplaceAll(c.canonical(word), "${TOPDIR}", c.TopDir))
}

// rewrite puts the changed assignments in, and new ones behind the last line.
func rewrite(lines []string, settings []*setting, add []string) string {
	eol := "\n"
	if strings.HasSuffix(lines[0], "\r\n") {
		eol = "\r\n"
	}
	var out []string
	squash := false // the blank line behind an assignment that was taken out
	for i, at := 0, 0; i < len(lines); i++ {
		if at < len(settings) && settings[at].first == i {
			s := settings[at]
			at++
			if s.edited {
				out, squash = append(out, s.lines(eol)...), true
			} else {
				out = append(out, lines[i:s.last+1]...)
			}
			i = s.last
			continue
		}
		if squash && len(out) > 0 && blank(out[len(out)-1]) && blank(lines[i]) {
			squash = false
			continue
		}
		squash = false
		out = append(out, lines[i])
	}
	text := strings.Join(out, "")
	if len(add) > 0 && text != "" && !strings.HasSuffix(text, "\n") {
		text += eol
	}
	for _, layer := range add {
		text += `BBLAYERS += "` + layer + `"` + eol
	}
	return text
}

func blank(line string) bool { return line == "\n" || line == "\r\n" }

// lines are an assignment as it is written anew; += without any layer vanishes.
func (s *setting) lines(eol string) []string {
	switch {
	case len(s.words) == 0 && s.op == "+=":
		return nil
	case len(s.words) == 0:
		return []string{s.start + ` ""` + eol}
	}
	out := []string{s.start + ` " \` + eol}
	for _, w := range s.words {
		out = append(out, "  "+w+` \`+eol)
	}
	return append(out, `  "`+eol)
}
