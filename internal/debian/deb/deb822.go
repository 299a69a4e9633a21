package deb

import (
	"bytes"
	"io"
	"strings"

	"n3x/internal/diag"
)

// Field is one field of a stanza.
type Field struct {
	Name  string // as written, e.g. "Pre-Depends"
	Value string // without surrounding blanks; continuation lines follow after "\n", their first blank removed
	Line  int    // 1-based line of the field's name
}

// Stanza is one paragraph of a deb822 file: a package of an index, a control file, a .sources entry.
type Stanza struct {
	File   string // for messages
	Fields []Field
}

// maxStanza bounds the memory that one paragraph of a foreign file may take.
const maxStanza = 16 << 20

// Field is the value of the named field, whatever its case; "" when there is none.
func (s Stanza) Field(name string) string {
	f, _ := s.Lookup(name)
	return f.Value
}

// Lookup finds a field by name, whatever its case.
func (s Stanza) Lookup(name string) (Field, bool) {
	for _, f := range s.Fields {
		if len(f.Name) == len(name) && strings.EqualFold(f.Name, name) {
			return f, true
		}
	}
	return Field{}, false
}

// Pos is where the named field stands, or where the stanza begins when it has no such field.
func (s Stanza) Pos(name string) diag.Pos {
	if f, ok := s.Lookup(name); ok {
		return diag.Pos{File: s.File, Line: f.Line}
	}
	if len(s.Fields) == 0 {
		return diag.Pos{File: s.File}
	}
	return diag.Pos{File: s.File, Line: s.Fields[0].Line}
}

// Reader reads the stanzas of a deb822 file one at a time.
type Reader struct {
	file string
	src  io.Reader
	line int // number of the line that starts at pos

	buf      []byte
	pos, end int // buf[pos:end] has not been consumed
	eof      bool
	fields   []Field
}

// NewReader reads from r; file is the name that errors show.
func NewReader(file string, r io.Reader) *Reader {
	return &Reader{file: file, src: r, line: 1, buf: make([]byte, 256<<10)}
}

// ReadStanzas reads a whole (small) file.
func ReadStanzas(file string, r io.Reader) ([]Stanza, error) {
	var all []Stanza
	rd := NewReader(file, r)
	rd.buf = make([]byte, 16<<10)
	for {
		s, err := rd.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		s.Fields = append([]Field(nil), s.Fields...)
		all = append(all, s)
	}
}

// Next is the next stanza, or [io.EOF]. Its Fields slice is reused by the following call; its strings are not.
func (r *Reader) Next() (Stanza, error) {
	for {
		block, err := r.paragraph()
		if err != nil {
			return Stanza{}, err
		}
		first := r.line
		r.line += bytes.Count(block, []byte{'\n'})
		r.fields = r.fields[:0]
		if err := r.parse(string(block), first); err != nil {
			return Stanza{}, err
		}
		if len(r.fields) > 0 {
			return Stanza{File: r.file, Fields: r.fields}, nil
		}
		// A paragraph of comments only: nothing to hand out.
	}
}

// paragraph consumes blank lines and then the lines up to the next blank one. The bytes stay valid until the next call.
func (r *Reader) paragraph() ([]byte, error) {
	n := 0 // bytes of the paragraph found so far: r.buf[r.pos:r.pos+n]
	for {
		rest := r.buf[r.pos+n : r.end]
		i := bytes.IndexByte(rest, '\n')
		if i < 0 && !r.eof {
			if err := r.fill(); err != nil {
				return nil, err
			}
			continue
		}
		length := i + 1
		if i < 0 { // the file's last line has no newline
			length = len(rest)
		}
		if length > 0 && !blank(rest[:length]) {
			n += length
			continue
		}
		switch {
		case n > 0:
			block := r.buf[r.pos : r.pos+n]
			r.pos += n
			return block, nil
		case length == 0:
			return nil, io.EOF
		}
		r.pos += length
		r.line++
	}
}

// fill reads more, making room first.
func (r *Reader) fill() error {
	if r.pos > 0 {
		copy(r.buf, r.buf[r.pos:r.end])
		r.pos, r.end = 0, r.end-r.pos
	}
	if r.end == len(r.buf) {
		if len(r.buf) >= maxStanza {
			return diag.Userf(r.here(r.line), "paragraph is larger than %d MiB", maxStanza>>20)
		}
		r.buf = append(r.buf, make([]byte, len(r.buf))...)
	}
	n, err := io.ReadAtLeast(r.src, r.buf[r.end:], 1)
	r.end += n
	if err == io.EOF {
		r.eof = true
		return nil
	}
	return err
}

// parse splits one paragraph, whose first line has number line, into fields.
func (r *Reader) parse(block string, line int) error {
	for ; block != ""; line++ {
		var text string
		text, block, _ = strings.Cut(block, "\n")
		switch {
		case text[0] == '#':
			continue
		case text[0] == ' ' || text[0] == '\t':
			return diag.Userf(r.here(line), "continuation line %q follows no field", clip(text))
		}
		name, value, ok := strings.Cut(text, ":")
		if !ok || !validName(name) {
			return diag.Userf(r.here(line), "expected \"Field: value\", found %q", clip(text))
		}
		f := Field{Name: name, Value: strings.Trim(value, " \t\r"), Line: line}
		if block != "" && (block[0] == ' ' || block[0] == '\t' || block[0] == '#') {
			var more int
			f.Value, block, more = continued(f.Value, block)
			line += more
		}
		r.fields = append(r.fields, f)
	}
	return nil
}

// continued collects the continuation lines at the start of rest, with comments left out.
func continued(value, rest string) (string, string, int) {
	var b strings.Builder
	b.WriteString(value)
	lines := 0
	for rest != "" && (rest[0] == ' ' || rest[0] == '\t' || rest[0] == '#') {
		var text string
		text, rest, _ = strings.Cut(rest, "\n")
		lines++
		if text[0] == '#' {
			continue
		}
		b.WriteByte('\n')
		b.WriteString(strings.TrimRight(text[1:], " \t\r"))
	}
	return b.String(), rest, lines
}

// validName follows Debian Policy 5.1: printable ASCII without colon and blank, not starting with a hyphen (or '#').
func validName(name string) bool {
	if name == "" || name[0] == '-' {
		return false
	}
	for i := range len(name) {
		if name[i] <= ' ' || name[i] > '~' {
			return false
		}
	}
	return true
}

func blank(line []byte) bool {
	for _, c := range line {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return false
		}
	}
	return true
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}

func (r *Reader) here(line int) diag.Pos { return diag.Pos{File: r.file, Line: line} }
