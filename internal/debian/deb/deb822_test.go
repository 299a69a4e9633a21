package deb

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestReadStanzas(t *testing.T) {
	t.Parallel()
	const text = "# a comment\n\n \t\nPackage: a\nDescription: first\n second\n .\n\tthird \n# comment inside\n fourth\nX-Empty:\n\n\n\nPACKAGE:b\nDepends:  x,\r\n y\r\n\n# only a comment\n\nPackage: last"
	want := []Stanza{
		{"f", []Field{{"Package", "a", 4}, {"Description", "first\nsecond\n.\nthird\nfourth", 5}, {"X-Empty", "", 11}}},
		{"f", []Field{{"PACKAGE", "b", 15}, {"Depends", "x,\ny", 16}}},
		{"f", []Field{{"Package", "last", 21}}},
	}
	for name, r := range map[string]io.Reader{
		"whole":    strings.NewReader(text),
		"one byte": iotest.OneByteReader(strings.NewReader(text)),
		"data+EOF": iotest.DataErrReader(strings.NewReader(text)),
	} {
		got, err := ReadStanzas("f", r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
	if got := want[1].Field("package"); got != "b" {
		t.Errorf("Field of another case = %q", got)
	}
	if pos := want[0].Pos("description"); pos.Line != 5 {
		t.Errorf("Pos = %v", pos)
	}
}

func TestReadStanzasErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Package: a\n\n continued\n":                    `f:3: continuation line " continued" follows no field`,
		"Package: a\nnonsense\n":                        `f:2: expected "Field: value", found "nonsense"`,
		"A: b\n-X: c\n":                                 `f:2: expected "Field: value", found "-X: c"`,
		"A: b\nX Y: c\n":                                `f:2: expected "Field: value", found "X Y: c"`,
		"A: " + strings.Repeat("x", maxStanza) + "\n\n": "f:1: paragraph is larger than 16 MiB",
	} {
		_, err := ReadStanzas("f", strings.NewReader(text))
		if err == nil || err.Error() != want {
			t.Errorf("%.30q: %v, want %s", text, err, want)
		}
	}
	broken := iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("A: b\n")))
	if _, err := ReadStanzas("f", broken); err != iotest.ErrTimeout {
		t.Errorf("reader's error: %v", err)
	}
}

// A stanza stays right when it crosses the reader's buffer.
func TestReaderLarge(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	for i := range 2000 {
		fmt.Fprintf(&b, "Package: p%d\nText: %s\n more\n\n", i, strings.Repeat("x", i))
	}
	r := NewReader("f", &b)
	for i := range 2000 {
		s, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if s.Field("Package") != fmt.Sprint("p", i) || len(s.Field("Text")) != i+5 || s.Fields[0].Line != 4*i+1 {
			t.Fatalf("stanza %d: %v", i, s.Fields[0])
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func FuzzReadStanzas(f *testing.F) {
	f.Add("Package: a\nDepends: b (>= 1),\n c | d\n\n# x\nA: b")
	f.Add("\n\n \n: x")
	f.Fuzz(func(t *testing.T, text string) {
		stanzas, err := ReadStanzas("f", strings.NewReader(text))
		if err != nil {
			return
		}
		for _, s := range stanzas {
			if len(s.Fields) == 0 {
				t.Error("stanza without fields")
			}
			last := 0
			for _, field := range s.Fields {
				if field.Line <= last || field.Line > strings.Count(text, "\n")+1 {
					t.Errorf("field %q on line %d after %d", field.Name, field.Line, last)
				}
				last = field.Line
			}
			ParsePackage(s)
		}
	})
}
