// SPDX-License-Identifier: MIT

package pyeval

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"n3x/internal/diag"
)

// fakeVars is a datastore without overrides, enough for the tests.
type fakeVars struct {
	vars  map[string]string
	flags map[string]map[string]string
	tasks []string
	in    *Interp
	lib   *Library
}

func newFakeVars(in *Interp, lib *Library) *fakeVars {
	return &fakeVars{vars: map[string]string{}, flags: map[string]map[string]string{}, in: in, lib: lib}
}

func (f *fakeVars) Var(name string, expand bool) (string, bool, error) {
	v, ok := f.vars[name]
	if !ok || !expand {
		return v, ok, nil
	}
	v, err := f.Expand(v)
	return v, true, err
}

func (f *fakeVars) Expand(s string) (string, error) {
	var b strings.Builder
	for s != "" {
		head, tail, ok := strings.Cut(s, "${")
		b.WriteString(head)
		if !ok {
			break
		}
		name, rest, ok := strings.Cut(tail, "}")
		switch {
		case ok && strings.HasPrefix(name, "@"):
			v, err := f.in.Eval(context.Background(), name[1:], Site{Vars: f, Lib: f.lib})
			if err != nil {
				return "", err
			}
			b.WriteString(v)
		case ok && f.vars[name] != "":
			v, _, err := f.Var(name, true)
			if err != nil {
				return "", err
			}
			b.WriteString(v)
		default:
			b.WriteString("${" + name + "}")
		}
		s = rest
	}
	return b.String(), nil
}

func (f *fakeVars) SetVar(name, value string) error    { f.vars[name] = value; return nil }
func (f *fakeVars) AppendVar(name, value string) error { f.vars[name] += value; return nil }
func (f *fakeVars) PrependVar(name, value string) error {
	f.vars[name] = value + f.vars[name]
	return nil
}
func (f *fakeVars) DelVar(name string) error { delete(f.vars, name); return nil }
func (f *fakeVars) RenameVar(from, to string) error {
	f.vars[to] = f.vars[from]
	delete(f.vars, from)
	return nil
}
func (f *fakeVars) VarFlag(name, flag string, expand bool) (string, bool, error) {
	v, ok := f.flags[name][flag]
	return v, ok, nil
}
func (f *fakeVars) SetVarFlag(name, flag, value string) error {
	if f.flags[name] == nil {
		f.flags[name] = map[string]string{}
	}
	f.flags[name][flag] = value
	return nil
}
func (f *fakeVars) AppendVarFlag(name, flag, value string) error {
	return f.SetVarFlag(name, flag, f.flags[name][flag]+value)
}
func (f *fakeVars) PrependVarFlag(name, flag, value string) error {
	return f.SetVarFlag(name, flag, value+f.flags[name][flag])
}
func (f *fakeVars) DelVarFlag(name, flag string) error              { delete(f.flags[name], flag); return nil }
func (f *fakeVars) VarFlags(name string) (map[string]string, error) { return f.flags[name], nil }
func (f *fakeVars) Keys() []string                                  { return slices.Sorted(maps.Keys(f.vars)) }
func (f *fakeVars) Inherits(class string) bool                      { return class == "image" }
func (f *fakeVars) CreateCopy() Vars {
	c := *f
	c.vars, c.flags = maps.Clone(f.vars), maps.Clone(f.flags)
	return &c
}
func (f *fakeVars) AddTask(name string, before, after []string) error {
	f.tasks = append(f.tasks, fmt.Sprint(name, before, after))
	return nil
}
func (f *fakeVars) DelTask(name string) error { f.tasks = append(f.tasks, "-"+name); return nil }

// vector is one line of a file that testdata/capture.py has recorded.
type vector struct {
	Set     map[string]string `json:"set"`
	Def     string            `json:"def"`
	Eval    *string           `json:"eval"`
	Exec    *string           `json:"exec"`
	Value   *string           `json:"value"`
	Vars    map[string]string `json:"vars"`
	Error   string            `json:"error"`
	Refused bool              `json:"refused"`
}

// errorClass is the name under which Python knows the error.
func errorClass(err error) string {
	var x *Exception
	var skip *SkipRecipe
	var fatal *Fatal
	var syntax *SyntaxError
	switch {
	case errors.As(err, &skip):
		return "SkipRecipe"
	case errors.As(err, &fatal):
		return "BBHandledException"
	case errors.As(err, &x):
		return x.Type
	case errors.As(err, &syntax):
		return "SyntaxError"
	}
	return fmt.Sprintf("%T", err)
}

// baseClass is the class that this package reports for a subclass.
func baseClass(name string) string {
	switch name {
	case "SkipPackage":
		return "SkipRecipe"
	case "IndentationError", "TabError":
		return "SyntaxError"
	}
	return name
}

func testInterp() *Interp {
	return New(Options{Environ: map[string]string{"HOME": "/home/user", "LANG": "C.UTF-8"}, Cwd: "/", CPUs: 8, Run: runOnHost})
}

// TestVectors compares with what CPython and BitBake answered.
func TestVectors(t *testing.T) {
	files, err := filepath.Glob("testdata/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatal("no vectors", err)
	}
	count := 0
	for _, name := range files {
		count += testVectors(t, name)
	}
	if count < 700 {
		t.Errorf("only %d vectors", count)
	}
}

func testVectors(t *testing.T, name string) int {
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in, count := testInterp(), 0
	lib := NewLibrary(nil)
	base := newFakeVars(in, lib)
	scan := bufio.NewScanner(f)
	scan.Buffer(nil, 1<<20)
	for n := 1; scan.Scan(); n++ {
		line := scan.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		var v vector
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%s:%d: %v", name, n, err)
		}
		maps.Copy(base.vars, v.Set)
		if v.Def != "" {
			if err := lib.Define(diag.Pos{File: "lib", Line: 1}, v.Def); err != nil {
				t.Fatalf("%s:%d: %v", name, n, err)
			}
		}
		if v.Eval == nil && v.Exec == nil {
			continue
		}
		count++
		checkVector(t, fmt.Sprintf("%s:%d", name, n), in, v, base.CreateCopy().(*fakeVars))
	}
	return count
}

func checkVector(t *testing.T, at string, in *Interp, v vector, vars *fakeVars) {
	site := Site{Vars: vars, Lib: vars.lib, Pos: diag.Pos{File: "x.bb", Line: 1}}
	var got string
	var err error
	source := ""
	if v.Eval != nil {
		source = *v.Eval
		got, err = in.Eval(context.Background(), source, site)
	} else {
		source = *v.Exec
		err = in.Exec(context.Background(), source, site)
	}
	var u *Unsupported
	if errors.As(err, &u) {
		if !v.Refused {
			t.Errorf("%s: refused %q: %v", at, source, err)
		}
		return
	}
	if v.Refused {
		t.Errorf("%s: %q is marked as refused, but gives %q, %v", at, source, got, err)
	}
	switch {
	case err != nil && v.Error == "":
		t.Errorf("%s: %q: %v", at, source, err)
	case err != nil:
		if c := errorClass(err); c != baseClass(v.Error) {
			t.Errorf("%s: %q: got error %v (%s), want %s", at, source, err, c, v.Error)
		}
	case v.Error != "":
		t.Errorf("%s: %q: got %q %v, want error %s", at, source, got, vars.vars, v.Error)
	case v.Value != nil && got != *v.Value:
		t.Errorf("%s: %q: got %q, want %q", at, source, got, *v.Value)
	case v.Vars != nil:
		left := map[string]string{}
		for k, value := range vars.vars {
			if strings.HasPrefix(k, "R") {
				left[k] = value
			}
		}
		if diff := cmp.Diff(v.Vars, left); diff != "" {
			t.Errorf("%s: %q: variables (-want +got):\n%s", at, source, diff)
		}
	}
}
