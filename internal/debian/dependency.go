package debian

import (
	"fmt"
	"strings"
)

// ParseDependency reads the value of a relationship field (Debian Policy 7.1), e.g. of Depends, Conflicts,
// Provides or Build-Depends. Newlines are white space; empty members (a trailing comma) are skipped as dpkg does.
// The obsolete operators < and > mean <= and >=, as they do in dpkg.
func ParseDependency(field string) (Dependency, error) {
	p := relationParser{text: field}
	p.space()
	if p.done() {
		return nil, nil
	}
	// Two allocations a field, whatever its length: indices have hundreds of thousands of relations.
	members := strings.Count(field, ",") + 1
	relations := make([]Relation, 0, members+strings.Count(field, "|"))
	dep := make(Dependency, 0, members)
	for !p.done() {
		if p.accept(',') {
			continue
		}
		start := len(relations)
		for {
			r, err := p.relation()
			if err != nil {
				return nil, err
			}
			relations = append(relations, r)
			if !p.accept('|') {
				break
			}
		}
		if !p.done() && !p.accept(',') {
			return nil, p.errorf("expected \",\" or \"|\"")
		}
		dep = append(dep, relations[start:len(relations):len(relations)])
	}
	return dep, nil
}

type relationParser struct {
	text string
	pos  int
}

func (p *relationParser) done() bool { return p.pos >= len(p.text) }

func (p *relationParser) peek() byte {
	if p.done() {
		return 0
	}
	return p.text[p.pos]
}

func (p *relationParser) space() {
	for !p.done() && isSpace(p.text[p.pos]) {
		p.pos++
	}
}

// accept consumes c and the white space that follows it.
func (p *relationParser) accept(c byte) bool {
	if p.peek() != c || p.done() {
		return false
	}
	p.pos++
	p.space()
	return true
}

// word consumes up to white space or one of stop, and the white space that follows.
func (p *relationParser) word(stop string) string {
	start := p.pos
	for !p.done() && !isSpace(p.text[p.pos]) && strings.IndexByte(stop, p.text[p.pos]) < 0 {
		p.pos++
	}
	w := p.text[start:p.pos]
	p.space()
	return w
}

func (p *relationParser) errorf(format string, args ...any) error {
	text := p.text
	if len(text) > 120 {
		text = text[:120] + "..."
	}
	return fmt.Errorf("relation %q, at character %d: %s", text, p.pos+1, fmt.Sprintf(format, args...))
}

func (p *relationParser) relation() (r Relation, err error) {
	name := p.word("()[]<>,|")
	if i := strings.IndexByte(name, ':'); i >= 0 {
		name, r.ArchQual = name[:i], name[i+1:]
		if r.ArchQual == "" {
			return r, p.errorf("nothing follows the colon of %q", name)
		}
	}
	if name == "" {
		return r, p.errorf("expected a package name")
	}
	r.Name = name
	if p.accept('(') {
		if err := p.version(&r); err != nil {
			return r, err
		}
	}
	if p.accept('[') {
		if r.Arches, err = p.list(']'); err != nil {
			return r, err
		}
	}
	for p.accept('<') {
		list, err := p.list('>')
		if err != nil {
			return r, err
		}
		r.Profiles = append(r.Profiles, list)
	}
	return r, nil
}

func (p *relationParser) version(r *Relation) error {
	start := p.pos
	for c := p.peek(); c == '<' || c == '>' || c == '='; c = p.peek() {
		p.pos++
	}
	switch op := p.text[start:p.pos]; op {
	case "<<", "<=", "=", ">=", ">>":
		r.Op = op
	case "<":
		r.Op = "<="
	case ">":
		r.Op = ">="
	case "":
		r.Op = "=" // an old form that dpkg and apt still read
	default:
		return p.errorf("unknown version operator %q", op)
	}
	p.space()
	r.Version = Version(p.word("()<>=,|[]"))
	if r.Version == "" {
		return p.errorf("expected a version after %q", r.Op)
	}
	if !p.accept(')') {
		return p.errorf("expected \")\" after version %q", r.Version)
	}
	return nil
}

func (p *relationParser) list(end byte) ([]string, error) {
	var words []string
	for !p.accept(end) {
		w := p.word("()[]<>,|")
		if w == "" || w == "!" {
			return nil, p.errorf("expected a word or %q", string(end))
		}
		words = append(words, w)
	}
	if len(words) == 0 {
		return nil, p.errorf("the list before %q is empty", string(end))
	}
	return words, nil
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f'
}
