package syntax

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"n3x/internal/diag"
)

// parser walks the lines of one file; conf and recipe files share its statement recognisers.
type parser struct {
	file    *File
	lines   []string
	conf    bool
	class   string // name of the class being read, for EXPORT_FUNCTIONS
	dialect Dialect
}

// splitLines decodes a file the way Python's text mode does: UTF-8 only, and CR LF and CR both end a line.
func splitLines(name string, data []byte) ([]string, error) {
	if !utf8.Valid(data) {
		line := 1
		for rest := data; len(rest) > 0; {
			r, n := utf8.DecodeRune(rest)
			if r == utf8.RuneError && n == 1 {
				break
			}
			if r == '\n' {
				line++
			}
			rest = rest[n:]
		}
		return nil, diag.Userf(diag.Pos{File: name, Line: line}, "metadata is not UTF-8 text").
			WithHint("convert the file, e.g. iconv -f ISO-8859-1 -t UTF-8")
	}
	if bytes.IndexByte(data, '\r') >= 0 {
		data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
		data = bytes.ReplaceAll(data, []byte("\r"), []byte("\n"))
	}
	text := string(data)
	if text == "" {
		return nil, nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n"), nil
}

// isSpace is Python's str.isspace, which also counts the four ASCII separators.
func isSpace(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f }

func trimRight(s string) string {
	if n := len(s); n == 0 || s[n-1] > ' ' && s[n-1] < utf8.RuneSelf {
		return s
	}
	return strings.TrimRightFunc(s, isSpace)
}

// fields is Python's str.split().
func fields(s string) []string { return strings.FieldsFunc(s, isSpace) }

func (p *parser) pos(n int) diag.Pos { return diag.Pos{File: p.file.Name, Line: n} }

func (p *parser) warn(n int, text string) {
	p.file.Warnings = append(p.file.Warnings, Warning{Pos: p.pos(n), Text: text})
}

func (p *parser) add(s Statement) { p.file.Statements = append(p.file.Statements, s) }

// parseConf reads a .conf file: continuation lines are joined first, a comment only counts when it starts in column one.
func (p *parser) parseConf() error {
	for i := 0; i < len(p.lines); i++ {
		s := trimRight(p.lines[i])
		if s == "" {
			continue
		}
		first := i + 1
		if strings.HasSuffix(s, `\`) {
			joined := []byte(s)
			for len(joined) > 0 && joined[len(joined)-1] == '\\' {
				i++
				next := ""
				if i < len(p.lines) {
					next = trimRight(p.lines[i])
				}
				if joined[0] == '#' && !strings.HasPrefix(next, "#") {
					return p.halfComment(first)
				}
				joined = append(joined[:len(joined)-1], next...)
			}
			s = string(joined)
		}
		switch {
		case s == "":
			return diag.Userf(p.pos(first), "a line that holds only a backslash continues nothing").WithHint("remove the backslash")
		case s[0] == '#':
			continue
		}
		if err := p.confStatement(i+1, s); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) halfComment(n int) error {
	return diag.Userf(p.pos(n), "confusing multi-line expression that is only partly a comment").
		WithNote("%s", p.source(n)).
		WithHint("start every line of it with #, or none; a comment must not end with a backslash")
}

// source is the text of physical line n, for notes.
func (p *parser) source(n int) string {
	if n < 1 || n > len(p.lines) {
		return ""
	}
	return strings.TrimFunc(p.lines[n-1], isSpace)
}

// body collects the lines of a function or def while the recipe parser is inside one.
type body struct {
	function *Function
	def      *Def
	lines    []string
}

// parseRecipe reads a recipe, class, append or include file.
func (p *parser) parseRecipe() error {
	var in body
	var residue []string // joined physical lines so far, without their backslashes
	for i := range p.lines {
		n, s := i+1, trimRight(p.lines[i])
		if in.function != nil || in.def != nil {
			done, again := p.bodyLine(&in, n, s)
			if !done || !again {
				continue
			}
		}
		if s != "" && s[0] == '#' && len(residue) > 0 && !strings.HasPrefix(residue[0], "#") {
			return diag.Userf(p.pos(n), "comment in the middle of a multi-line expression").
				WithNote("%s", s).
				WithHint("move the comment above the first line of the expression")
		}
		if len(residue) > 0 && strings.HasPrefix(residue[0], "#") && !strings.HasPrefix(s, "#") {
			return p.halfComment(n - len(residue))
		}
		if strings.HasSuffix(s, `\`) {
			if s == `\` && len(residue) == 0 {
				return diag.Userf(p.pos(n), "a line that holds only a backslash continues nothing").WithHint("remove the backslash")
			}
			residue = append(residue, s[:len(s)-1])
			continue
		}
		if len(residue) > 0 {
			s = strings.Join(residue, "") + s
			residue = residue[:0]
		}
		if s == "" || s[0] == '#' {
			continue
		}
		if f := functionStart(s); f != nil {
			f.FirstLine = n
			in = body{function: f}
			continue
		}
		if name := defStart(s); name != "" {
			in = body{def: &Def{Name: name, FirstLine: n}, lines: []string{s}}
			continue
		}
		if err := p.recipeStatement(n, s); err != nil {
			return err
		}
	}
	return p.finishRecipe(&in, residue)
}

// bodyLine adds line s to the open function or def. done says that the body ended; again that s, which follows a def, still
// has to be read as a statement of its own.
func (p *parser) bodyLine(in *body, n int, s string) (done, again bool) {
	if in.def != nil || in.function.Python {
		if rest := strings.TrimLeft(s, " "); strings.HasPrefix(rest, "\t") {
			p.warn(n, "python should use 4 spaces indentation, but found tabs")
		}
	}
	if in.function != nil {
		if s != "}" {
			in.lines = append(in.lines, s)
			return false, false
		}
		f := in.function
		if len(in.lines) > 0 {
			f.Body = strings.Join(in.lines, "\n") + "\n"
		}
		f.line = line(n)
		p.add(f)
		*in = body{}
		return true, false
	}
	if r, _ := utf8.DecodeRuneInString(s); s == "" || r == '#' || isSpace(r) {
		in.lines = append(in.lines, s)
		return false, false
	}
	p.closeDef(in, n)
	return true, true
}

func (p *parser) closeDef(in *body, n int) {
	in.def.Source = strings.Join(in.lines, "\n")
	in.def.line = line(n)
	p.add(in.def)
	*in = body{}
}

func (p *parser) finishRecipe(in *body, residue []string) error {
	end := len(p.lines) + 1
	if in.def != nil {
		p.closeDef(in, end)
	}
	if len(residue) > 0 {
		return diag.Userf(p.pos(end), "the file ends in the middle of a multi-line expression").
			WithNote("it starts at %s: %s", p.pos(end-len(residue)), p.source(end-len(residue))).
			WithHint("remove the backslash at the end of the last line, or add what is missing")
	}
	if f := in.function; f != nil {
		name := f.Name
		if name == "" {
			name = "anonymous python"
		}
		return diag.Userf(p.pos(end), "the file ends before function %s is closed", name).
			WithNote("it starts at %s: %s", p.pos(f.FirstLine), p.source(f.FirstLine)).
			WithHint("a function ends at a line that holds only } in the first column")
	}
	return nil
}
