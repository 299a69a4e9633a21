package syntax

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"n3x/internal/diag"
)

// keyword splits s after the word kw when white space and something follow it.
func keyword(s, kw string) (rest string, ok bool) {
	if !strings.HasPrefix(s, kw) {
		return "", false
	}
	after := s[len(kw):]
	rest = strings.TrimLeftFunc(after, isSpace)
	if len(rest) == len(after) || rest == "" {
		return "", false
	}
	return rest, true
}

// isWord is Python's \w.
func isWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) }

// functionStart recognises the head of a function, `[fakeroot] [python] [NAME] () {`, or returns nil.
func functionStart(s string) *Function {
	if !strings.HasSuffix(s, "{") || !strings.Contains(s, "(") {
		return nil
	}
	f := &Function{}
	rest := s
words:
	for {
		var next string
		switch {
		case strings.HasPrefix(rest, "python"):
			next = rest[len("python"):]
			if r, _ := utf8.DecodeRuneInString(next); r != '(' && !isSpace(r) {
				break words
			}
			f.Python = true
		case strings.HasPrefix(rest, "fakeroot"):
			next = rest[len("fakeroot"):]
			if r, _ := utf8.DecodeRuneInString(next); !isSpace(r) {
				break words
			}
			f.Fakeroot = true
		default:
			break words
		}
		rest = strings.TrimLeftFunc(next, isSpace)
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return !isWord(r) && !strings.ContainsRune(".-+{}$:", r) })
	if end < 0 {
		return nil
	}
	f.Name = rest[:end]
	for _, punct := range []string{"(", ")", "{"} {
		rest = strings.TrimLeftFunc(rest[end:], isSpace)
		if !strings.HasPrefix(rest, punct) {
			return nil
		}
		end = 1
	}
	if rest != "{" {
		return nil
	}
	if f.Name == "" || f.Name == "__anonymous" {
		f.Name, f.Python = "", true
	}
	return f
}

// defStart recognises `def NAME...:` and returns the name, or "".
func defStart(s string) string {
	rest, ok := keyword(s, "def")
	if !ok {
		return ""
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return !isWord(r) })
	if end <= 0 || !strings.Contains(rest[end:], ":") {
		return ""
	}
	return rest[:end]
}

// recipeStatement recognises the one-line statements of recipes and classes, then those of configuration files.
func (p *parser) recipeStatement(n int, s string) error {
	if rest, ok := keyword(s, "EXPORT_FUNCTIONS"); ok {
		p.add(&ExportFunctions{line: line(n), Names: fields(rest), Class: p.class})
		return nil
	}
	if rest, ok := keyword(s, "addtask"); ok {
		if p.dialect == Until28 {
			if done, err := p.addOneTask(n, s); done || err != nil {
				return err
			}
		} else if rest = beforeComment(rest); rest != "" {
			return p.addTask(n, s, rest)
		}
	}
	if rest, ok := keyword(s, "deltask"); ok {
		if p.dialect != Until28 {
			rest = beforeComment(rest)
		}
		if rest != "" {
			p.add(&DelTask{line: line(n), Tasks: rest})
			return nil
		}
	}
	if rest, ok := keyword(s, "addhandler"); ok {
		p.add(&AddHandler{line: line(n), Names: fields(rest)})
		return nil
	}
	if rest, ok := keyword(s, "inherit"); ok {
		p.add(&Inherit{line: line(n), Classes: rest})
		return nil
	}
	if rest, ok := keyword(s, "inherit_defer"); ok {
		p.add(&Inherit{line: line(n), Classes: rest, Deferred: true})
		return nil
	}
	return p.confStatement(n, s)
}

func beforeComment(s string) string {
	s, _, _ = strings.Cut(s, "#")
	return s
}

// addTask splits an addtask statement. BitBake cuts the text at " before " and " after " rather than reading words, so that
// names may hold ${} with blanks in them; several clauses of one kind are run together as it does.
func (p *parser) addTask(n int, s, rest string) error {
	if err := p.taskKeyword(n, s); err != nil {
		return err
	}
	clause := func(outer, inner string) string {
		var text strings.Builder
		for _, part := range strings.Split(rest, outer) {
			text.WriteString(strings.Join(strings.Split(part, inner)[1:], " "))
		}
		return text.String()
	}
	tasks, _, _ := strings.Cut(rest, " before ")
	tasks, _, _ = strings.Cut(tasks, " after ")
	p.add(&AddTask{line: line(n), Tasks: tasks, After: clause(" before ", " after "), Before: clause(" after ", " before ")})
	return nil
}

// taskKeyword refuses a task whose name looks like an operation.
func (p *parser) taskKeyword(n int, s string) error {
	for _, w := range fields(s) {
		for _, kw := range []string{":append_", ":prepend_", ":remove_"} {
			if strings.Contains(w, kw) {
				return diag.Userf(p.pos(n), "task name %q contains the keyword %s", w, strings.TrimSuffix(kw, "_")).
					WithHint("rename the task so that it does not hold :append, :prepend or :remove")
			}
		}
	}
	return nil
}

// confStatement recognises assignments and the statements that configuration files know.
func (p *parser) confStatement(n int, s string) error {
	a, err := p.assignment(n, s)
	if err != nil {
		return err
	}
	if a != nil {
		p.add(a)
		return nil
	}
	word := s
	if i := strings.IndexFunc(s, isSpace); i > 0 {
		word = s[:i]
	}
	rest, ok := keyword(s, word)
	if !ok {
		return p.unparsed(n, s)
	}
	switch word {
	case "include":
		p.add(&Include{line: line(n), Files: rest})
		return nil
	case "require":
		p.add(&Include{line: line(n), Files: rest, Require: true})
		return nil
	case "include_all":
		if p.dialect != Until28 {
			p.add(&Include{line: line(n), Files: rest, All: true})
			return nil
		}
	case "export":
		if variableName(rest, false) {
			p.add(&Export{line: line(n), Name: rest})
			return nil
		}
	case "unset":
		if name, flag, ok := unsetTarget(rest); ok {
			p.add(&Unset{line: line(n), Name: name, Flag: flag})
			return nil
		}
	case "addpylib":
		if f := fields(rest); p.conf && len(f) == 2 {
			p.add(&AddPyLib{line: line(n), Dir: f[0], Namespace: f[1]})
			return nil
		}
	case "addfragments":
		if f := fields(rest); len(f) == 4 && p.dialect != Until28 {
			p.add(&AddFragments{line: line(n), Prefix: f[0], Variable: f[1], Flagged: f[2], Builtin: f[3]})
			return nil
		}
	}
	return p.unparsed(n, s)
}

// nameByte says which bytes a variable's name may hold; a colon only in an assignment.
func nameByte(c byte, colon bool) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	case c == ':':
		return colon
	}
	return c < utf8.RuneSelf && strings.IndexByte("-_+.${}/~", c) >= 0
}

func variableName(s string, colon bool) bool {
	for i := range len(s) {
		if !nameByte(s[i], colon) {
			return false
		}
	}
	return s != ""
}

func flagByte(c byte, first bool) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '+', c == '.':
		return true
	}
	return !first && (c == '@' || c == '/')
}

// flagName splits a leading "[flag]" off s.
func flagName(s string) (flag, rest string, ok bool) {
	end := strings.IndexByte(s, ']')
	if end < 2 || s[0] != '[' {
		return "", s, false
	}
	for i := 1; i < end; i++ {
		if !flagByte(s[i], i == 1) {
			return "", s, false
		}
	}
	return s[1:end], s[end+1:], true
}

// unsetTarget reads NAME or NAME[flag]; BitBake wants at least two characters in such a flag and no slash.
func unsetTarget(s string) (name, flag string, ok bool) {
	name, rest, hasFlag := strings.Cut(s, "[")
	if !hasFlag {
		return name, "", variableName(name, false)
	}
	flag, rest, ok = flagName("[" + rest)
	return name, flag, ok && rest == "" && len(flag) > 1 && !strings.Contains(flag, "/") && variableName(name, false)
}

var operators = []struct {
	text string
	op   Op
}{{":=", Immediate}, {"??=", WeakDefault}, {"?=", Default}, {"+=", Append}, {"=+", Prepend}, {"=.", PreDot}, {".=", PostDot}, {"=", Set}}

// assignment reads an assignment, or returns nil when s is none.
func (p *parser) assignment(n int, s string) (*Assignment, error) {
	if rest, ok := keyword(s, "export"); ok {
		if a, spaced := assign(rest); a != nil && (a.Name != "" || p.dialect != Until28) {
			a.Export = true
			return p.checked(n, s, a, spaced)
		}
	}
	a, spaced := assign(s)
	if a == nil {
		return nil, nil
	}
	return p.checked(n, s, a, spaced)
}

func (p *parser) checked(n int, s string, a *Assignment, spaced bool) (*Assignment, error) {
	if p.dialect == Until28 {
		if strings.Contains(a.Flag, "/") {
			return nil, nil
		}
		spaced = true
	}
	if a.Name == "" {
		return nil, diag.Userf(p.pos(n), "assignment without a variable name").WithNote("%s", s)
	}
	if !spaced {
		p.warn(n, TightAssignment+": '"+s+"'")
	}
	a.line = line(n)
	return a, nil
}

// assign reads `NAME[flag] OP "value"`: the name is the shortest for which the rest fits.
func assign(s string) (a *Assignment, spaced bool) {
	end := 0
	for end < len(s) && nameByte(s[end], true) {
		end++
	}
	// An operator of two characters may start with the name's last one, e.g. FOO+="x".
	if end > 0 && end < len(s) && s[end] == '=' && strings.IndexByte(":+.", s[end-1]) >= 0 {
		if a, _ := operator(s[end-1:]); a != nil {
			a.Name = s[:end-1]
			return a, false
		}
	}
	flag, rest, _ := flagName(s[end:])
	trimmed := strings.TrimLeftFunc(rest, isSpace)
	a, spaceAfter := operator(trimmed)
	if a == nil {
		return nil, false
	}
	a.Name, a.Flag = s[:end], flag
	return a, spaceAfter && len(trimmed) < len(rest)
}

// operator reads `OP "value"`.
func operator(s string) (a *Assignment, spaced bool) {
	i := slices.IndexFunc(operators, func(o struct {
		text string
		op   Op
	}) bool {
		return strings.HasPrefix(s, o.text)
	})
	if i < 0 {
		return nil, false
	}
	after := s[len(operators[i].text):]
	quoted := strings.TrimLeftFunc(after, isSpace)
	if len(quoted) < 2 || quoted[0] != '"' && quoted[0] != '\'' || quoted[len(quoted)-1] != quoted[0] {
		return nil, false
	}
	// One stray quote of the value's own kind is refused; BitBake lets more of them pass.
	if strings.Count(quoted, quoted[:1]) == 3 {
		return nil, false
	}
	return &Assignment{Op: operators[i].op, Value: quoted[1 : len(quoted)-1]}, len(quoted) < len(after)
}
