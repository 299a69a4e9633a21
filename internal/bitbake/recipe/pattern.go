package recipe

import (
	"n3x/internal/diag"

	"strings"

	"n3x/internal/bitbake/pyeval/regex"
)

// pattern is a regular expression of Python's.
type pattern struct{ re *regex.Regexp }

// patternSteps bound the work for one file name; no pattern that is meant comes near.
const patternSteps = 1_000_000

type stepLimit int

// Step implements [regex.Limit].
func (s *stepLimit) Step() error {
	if *s--; *s < 0 {
		return regex.ErrSteps
	}
	return nil
}

func compilePattern(text string) (*pattern, error) {
	re, err := regex.Compile(text, 0)
	if err != nil {
		return nil, err
	}
	return &pattern{re}, nil
}

// match says whether s begins with what the pattern describes.
func (p *pattern) match(s string) bool { return p.find(s, regex.Match) }

// search says whether s has what the pattern describes anywhere.
func (p *pattern) search(s string) bool { return p.find(s, regex.Search) }

func (p *pattern) find(s string, mode regex.Mode) bool {
	limit := stepLimit(patternSteps)
	found, err := p.re.Find([]rune(s), 0, mode, false, &limit)
	return err == nil && found != nil
}

// mask tells which files BBMASK leaves out. Expressions that are not valid are ignored, as in BitBake, with a warning.
func mask(base *evaluator) (func(string) bool, error) {
	words, err := base.d.Words("BBMASK")
	if err != nil {
		return nil, err
	}
	pos := base.d.LastSet("BBMASK")
	var valid []string
	for _, word := range words {
		text := word
		if strings.HasPrefix(text, "|") {
			base.warn(pos, "BBMASK contains regular expression beginning with '|', fixing: "+word)
			text = text[1:]
		}
		if _, err := compilePattern(text); err != nil {
			base.warn(pos, "BBMASK contains an invalid regular expression, ignoring: "+text+" ("+err.Error()+")")
			continue
		}
		valid = append(valid, text)
	}
	all := strings.Join(valid, "|")
	if all == "" {
		return func(string) bool { return false }, nil
	}
	re, err := compilePattern(all)
	if err != nil {
		base.warn(pos, "BBMASK is not a valid regular expression, ignoring: "+all+" ("+err.Error()+")")
		return func(string) bool { return false }, nil
	}
	return re.search, nil
}

// empty warns about layers of which no file is used, unless BBFILE_PATTERN_IGNORE_EMPTY allows it.
func (w *World) empty(mc string, c *config) error {
	unmatched, matched := map[string]bool{}, map[string]bool{}
	for _, l := range w.layers {
		unmatched[l.Pattern] = true
	}
	inLayer := map[string]bool{}
	for _, r := range c.all() {
		if r.Skip != "" {
			continue
		}
		if l := w.layerOf(r.File); l != nil {
			delete(unmatched, l.Pattern)
			matched[l.Pattern], inLayer[r.File] = true, true
		}
	}
	if len(unmatched) == 0 {
		return nil
	}
	// Appends and skipped recipes count, unless they are also in a layer around this one.
	files := c.files
	for _, a := range c.appends {
		files = append(files[:len(files):len(files)], a.file)
	}
	for _, file := range files {
		if inLayer[file] || w.anyMatches(matched, file) {
			continue
		}
		for _, l := range w.layers {
			if unmatched[l.Pattern] && l.re.match(file) {
				delete(unmatched, l.Pattern)
			}
		}
	}
	return w.warnEmpty(mc, unmatched)
}

func (w *World) anyMatches(patterns map[string]bool, file string) bool {
	for _, l := range w.layers {
		if patterns[l.Pattern] && l.re.match(file) {
			return true
		}
	}
	return false
}

func (w *World) warnEmpty(mc string, unmatched map[string]bool) error {
	in := mc
	if in == "" {
		in = "default"
	}
	d := w.configs[""].base.d
	for _, l := range w.layers {
		if !unmatched[l.Pattern] {
			continue
		}
		ignore, err := d.Value("BBFILE_PATTERN_IGNORE_EMPTY_" + l.Name)
		if err != nil {
			return err
		}
		if ignore != "1" {
			w.late(mc, diag.Pos{}, "No bb files in "+in+" matched BBFILE_PATTERN_"+l.Name+" '"+l.Pattern+"'")
		}
	}
	return nil
}
