// Package query answers questions about metadata: what n3x bitbake-query serves to programs, and what the commands that
// only ask (bitbake -e, -s, bitbake-getvar) print.
//
// Input are requests, one JSON object on each line; output is one answer on each line, in the same order. docs/bitbake-query.md
// describes the format. It is what lib/bb/tinfoil.py is for Python, without a server and without a protocol of its own.
// Requests that are wrong are refused one by one, with the place in the metadata where there is one; reading goes on.
package query

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"n3x/internal/cpython"
	"n3x/internal/diag"
	"n3x/internal/metadata"
)

// Options say what questions are about when they do not say so themselves.
type Options struct {
	TopDir string            // build folder of requests that name none
	Env    map[string]string // the environment
	Python cpython.Launcher  // starts real CPython, or nil
	Log    func(level, text string)
}

// request is one line of input. Which fields count depends on Op.
type request struct {
	ID json.RawMessage `json:"id"`
	Op string          `json:"op"`

	TopDir  string            `json:"topdir"`
	Env     map[string]string `json:"env"`     // added to the environment
	Classes metadata.Source   `json:"classes"` // "", "native" or "layer"
	Buffers map[string]string `json:"buffers"` // texts that stand for files, e.g. of an editor
	Fresh   bool              `json:"fresh"`   // read anew what was read before

	Of     *scope   `json:"of"`
	MC     string   `json:"mc"`
	Names  []string `json:"names"`
	Text   string   `json:"text"`
	Target string   `json:"target"`

	Targets []string `json:"targets"`
	Task    string   `json:"task"`
	RunAll  []string `json:"runall"`
	RunOnly []string `json:"runonly"`
	Inputs  bool     `json:"inputs"` // with those of signatures

	Flags   bool `json:"flags"`
	History bool `json:"history"`
}

// answer is one line of output.
type answer map[string]any

// server holds what was read for earlier requests.
type server struct {
	o      Options
	opened map[string]*folder
}

// maxLine is the size of a request in bytes.
const maxLine = 16 << 20

// Serve answers requests until the input ends. It returns what makes going on impossible: a broken input or output.
func Serve(ctx context.Context, o Options, in io.Reader, out io.Writer) error {
	s := &server{o: o, opened: map[string]*folder{}}
	defer s.close()
	lines := bufio.NewReader(in)
	w := bufio.NewWriter(out)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for {
		line, whole, err := readLine(lines)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		var a answer
		switch line = bytes.TrimSpace(line); {
		case !whole:
			a = answer{"ok": false, "error": describe(tooLong())}
		case len(line) > 0:
			a = s.reply(ctx, line)
		}
		if a != nil {
			if err := errors.Join(enc.Encode(a), w.Flush()); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return nil
		}
	}
}

// readLine reads up to the next line feed. Of a line longer than maxLine nothing is kept, and whole is false.
func readLine(in *bufio.Reader) (line []byte, whole bool, err error) {
	size := 0
	for {
		part, err := in.ReadSlice('\n')
		if size += len(part); size <= maxLine {
			line = append(line, part...)
		} else {
			line = nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, size <= maxLine, err
		}
	}
}

func tooLong() error {
	return diag.Userf(diag.Pos{}, "the request is longer than %d MiB", maxLine>>20).WithHint("ask for fewer names at a time")
}

func (s *server) close() {
	for _, f := range s.opened {
		f.close()
	}
}

// reply answers one line.
func (s *server) reply(ctx context.Context, line []byte) answer {
	var r request
	err := parse(line, &r)
	var a answer
	if err == nil {
		a, err = s.answer(ctx, &r)
	}
	if a == nil {
		a = answer{}
	}
	if r.ID != nil {
		a["id"] = r.ID
	}
	a["ok"] = err == nil
	if err != nil {
		a["error"] = describe(err)
	}
	return a
}

// parse reads a request and says in the words of JSON, not of Go, what is wrong with it.
func parse(line []byte, r *request) error {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	err := dec.Decode(r)
	if err == nil && dec.More() {
		err = errors.New("there is more than one JSON value on the line")
	}
	var (
		kind   *json.UnmarshalTypeError
		syntax *json.SyntaxError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &kind) && kind.Field == "":
		err = fmt.Errorf("a request is an object, not a JSON %s", kind.Value)
	case errors.As(err, &kind):
		err = fmt.Errorf("the field %q is %s, not a JSON %s", kind.Field, jsonKind(kind.Type), kind.Value)
	case errors.As(err, &syntax):
		err = fmt.Errorf("it is not JSON at byte %d: %w", syntax.Offset, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("the line ends within a JSON value")
	default:
		if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			err = fmt.Errorf("there is no field %s", field)
		}
	}
	return diag.Userf(diag.Pos{}, "read the request: %w", err).WithHint(`e.g. {"id": 1, "op": "vars", "of": {"recipe": "hello"}, "names": ["PV"]}`)
}

// jsonKind is what a field of a request must be.
func jsonKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice:
		return "a list"
	}
	return "an object"
}

// operation answers requests of one kind.
type operation struct {
	name string
	run  func(*server, context.Context, *request) (answer, error)
}

// operations are all kinds of requests.
func operations() []operation {
	return []operation{
		{"open", (*server).open}, {"layers", (*server).layers}, {"recipes", (*server).recipes}, {"appends", (*server).appends},
		{"provider", (*server).provider}, {"vars", (*server).vars}, {"keys", (*server).keys}, {"expand", (*server).expand},
		{"overrides", (*server).overrides}, {"environment", (*server).environment}, {"tasks", (*server).tasks}, {"graph", (*server).graph},
	}
}

func (s *server) answer(ctx context.Context, r *request) (answer, error) {
	var names []string
	for _, op := range operations() {
		if op.name == r.Op {
			return op.run(s, ctx, r)
		}
		names = append(names, op.name)
	}
	err := diag.Userf(diag.Pos{}, "there is no operation %q", r.Op)
	if near := diag.Nearest(r.Op, names); near != "" {
		return nil, err.WithHint("did you mean %s?", near)
	}
	slices.Sort(names)
	return nil, err.WithHint("the operations are %s", strings.Join(names, ", "))
}

// fault is an error as JSON.
type fault struct {
	Text  string   `json:"text"`
	File  string   `json:"file,omitempty"`
	Line  int      `json:"line,omitempty"`
	Notes []string `json:"notes,omitempty"`
	Hint  string   `json:"hint,omitempty"`
}

// describe gives an error its parts. Joined errors are told by their texts.
func describe(err error) *fault {
	var d *diag.Error
	joined, many := err.(interface{ Unwrap() []error })
	if many && len(joined.Unwrap()) == 1 {
		return describe(joined.Unwrap()[0])
	}
	if many || !errors.As(err, &d) {
		return &fault{Text: err.Error()}
	}
	return &fault{Text: d.Text, File: d.Pos.File, Line: d.Pos.Line, Notes: d.Notes, Hint: d.Hint}
}
