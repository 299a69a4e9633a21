package datastore

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"

	"n3x/internal/diag"
)

// everyField gives each field of a struct, also of those inside of it, a value that no other field has.
func everyField(v reflect.Value, n *int) {
	*n++
	v = reflect.NewAt(v.Type(), v.Addr().UnsafePointer()).Elem()
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("s%d", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(int64(*n))
	case reflect.Uint8:
		v.SetUint(uint64(*n) % 256)
	case reflect.Struct:
		for i := range v.NumField() {
			everyField(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		everyField(v.Index(0), n)
		everyField(v.Index(1), n)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		everyField(v.Elem(), n)
	default:
		panic("a field of the kind " + v.Kind().String() + " is new here")
	}
}

// TestEveryFieldOfVariables fails when a field is added to variables, or to what they consist of, and not encoded.
func TestEveryFieldOfVariables(t *testing.T) {
	t.Parallel()
	n := 0
	var v variable
	everyField(reflect.ValueOf(&v).Elem(), &n)
	v.live = nil    // see TestLive: what it marks is left out
	v.alone = false // says how the list is held in memory
	e := NewEncoder(nil)
	w := Writer{Encoder: e}
	w.variable(&v)
	x := decoder(t, e)
	r := x.Reader(w.Out)
	got := r.decode()
	if r.Err() != nil || len(r.rest) > 0 {
		t.Fatal(r.Err(), len(r.rest))
	}
	if !reflect.DeepEqual(got, &v) {
		t.Errorf("got %+v\nwant %+v", *got, v)
	}
	v.live = &Live{Source: "S", Clock: true, event: -1, past: true}
	w = Writer{Encoder: NewEncoder(nil)}
	w.variable(&v)
	if got := decoder(t, w.Encoder).Reader(w.Out).decode(); !reflect.DeepEqual(got.live, v.live) {
		t.Errorf("live: got %+v, want %+v", got.live, v.live)
	}
	if n := reflect.TypeFor[Live]().NumField(); n != 4 {
		t.Errorf("Live has %d fields; encode the new one and correct this number", n)
	}
}

// TestEveryFieldOfStores lists what a store has: a new field is either encoded or made anew.
func TestEveryFieldOfStores(t *testing.T) {
	t.Parallel()
	handled := map[string]string{
		"top": "encoded", "origin": "encoded", "old": "encoded", "filters": "encoded", "renamed": "encoded",
		"local": "of use only while layer.conf files are read", "eval": "given anew", "Environment": "given anew", "ready": "of the base", "events": "of the base",
		"cache": "computed", "evaluating": "none between evaluations", "expanding": "none between evaluations", "depth": "none between evaluations",
		"kept": "none between evaluations", "overrides": "computed", "overrideSet": "computed", "overrideDeps": "computed", "reads": "none between evaluations",
	}
	if n := reflect.TypeFor[origin]().NumField(); n != 3 {
		t.Errorf("origin has %d fields; encode the new one and correct this number", n)
	}
	typ := reflect.TypeFor[Data]()
	for i := range typ.NumField() {
		if name := typ.Field(i).Name; handled[name] == "" {
			t.Errorf("field %s of Data is new: encode it in encode.go, or say here why it need not be", name)
		}
	}
}

func decoder(t *testing.T, e *Encoder) *Decoder {
	t.Helper()
	x, err := NewDecoder(e.Pools())
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func restore(t *testing.T, x *Decoder, data []byte, how Restore) *Data {
	t.Helper()
	how.Instead = func() *Data { t.Error("the data does not decode"); return New() }
	d, err := x.Store(data, how)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// scramble does some operations of all kinds.
func scramble(t *testing.T, d *Data, rnd *rand.Rand, ops int) {
	t.Helper()
	names := []string{"A", "B", "A:x", "A:y:x", "B:append", "B:append:y", "A:prepend", "A:remove", "C", "D:x", "OVERRIDES", "${C}"}
	pick := func() string { return names[rnd.IntN(len(names))] }
	for i := range ops {
		d.At(diag.Pos{File: fmt.Sprintf("/l/f%d.bb", rnd.IntN(3)), Line: i + 1}, []string{"", "anon"}[rnd.IntN(2)])
		value := []string{"", "1", "x y", "${Q}", "${Z} z"}[rnd.IntN(5)]
		var err error
		switch rnd.IntN(10) {
		case 0, 1, 2:
			err = d.SetVar(pick(), value)
		case 3:
			err = d.SetVarFlag(pick(), "f", value)
		case 4:
			err = d.DelVar(pick())
		case 5:
			err = d.AppendVar("A", value)
		case 6:
			err = d.RenameVar("A", "C")
		case 7:
			err = d.SetObject("A", "list", "['a', 'b']")
		case 8:
			err = d.SetNone("B")
		case 9:
			err = d.setWeak(pick(), []string{"", "f"}[rnd.IntN(2)], str(value), Event{Op: "set?", Detail: value})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// same compares all variables of two stores, field by field.
func same(t *testing.T, want, got *Data) {
	t.Helper()
	a, b := want.above(nil), got.above(nil)
	if len(a) != len(b) {
		t.Errorf("%d variables, want %d", len(b), len(a))
	}
	for name, v := range a {
		w := b[name]
		if w == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		x, y := tidy(*v), tidy(*w)
		if !reflect.DeepEqual(x, y) {
			t.Errorf("%s: got %+v\nwant %+v", name, y, x)
		}
	}
	if want.origin != got.origin || !reflect.DeepEqual(want.filters, got.filters) || !reflect.DeepEqual(want.renamed, got.renamed) {
		t.Errorf("the settings are %v %v %v, want %v %v %v", got.origin, got.filters, got.renamed, want.origin, want.filters, want.renamed)
	}
}

// tidy makes what reads alike equal: empty lists, and who shares the variable.
func tidy(v variable) variable {
	v.shared, v.alone = false, false
	v.flags = append([]flagEntry{}, v.flags...)
	v.appends, v.prepends, v.removes = append([]operation{}, v.appends...), append([]operation{}, v.prepends...), append([]operation{}, v.removes...)
	v.overridden, v.history = append([]override{}, v.overridden...), append([]*Event{}, v.history...)
	return v
}

// TestStores writes stores over a base, over one another and whole, and reads them from several goroutines.
func TestStores(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		base := New()
		scramble(t, base, rnd, rnd.IntN(40))
		base.Freeze()
		e := NewEncoder(nil)
		whole := e.Store(base, nil)
		var recipes []*Data
		var data [][]byte
		for range 3 {
			d := base.Copy()
			for range rnd.IntN(4) {
				scramble(t, d, rnd, rnd.IntN(20))
				d = d.Copy()
			}
			if rnd.IntN(2) == 0 {
				if err := d.SetVarFilter("A", "val.upper()"); err != nil {
					t.Fatal(err)
				}
				if err := d.SetVarFlag("BB_RENAMED_VARIABLES", "OLD", "NEW"); err != nil {
					t.Fatal(err)
				}
			}
			recipes, data = append(recipes, d), append(data, e.Store(d, base))
		}
		x := decoder(t, e)
		again := restore(t, x, whole, Restore{})
		same(t, base, again)
		if again.Digest() != base.Digest() {
			t.Error("the digest of the base changed")
		}
		var wait sync.WaitGroup
		for i, d := range recipes {
			got := restore(t, x, data[i], Restore{Base: again})
			run := func(do func()) {
				wait.Add(1)
				go func() { defer wait.Done(); do() }()
			}
			run(func() { got.Copy().Keys() })
			run(func() { same(t, d, got) })
			// What was read takes part in a second encoding, with the old positions.
			next := NewEncoder(x)
			run(func() { same(t, d, restore(t, decoder(t, next), next.Store(got, again), Restore{Base: again})) })
		}
		wait.Wait()
	}
}

// watching is an evaluator that notes live variables.
type watching struct{ seen []string }

func (*watching) Eval(string, *Data, diag.Pos) (string, error) { return "", nil }
func (w *watching) ReadLive(name string)                       { w.seen = append(w.seen, name) }

// TestLive checks that live variables get new values, and who is told of reading one.
func TestLive(t *testing.T) {
	t.Parallel()
	w := &watching{}
	base := New()
	base.SetEvaluator(w)
	for _, name := range []string{"HOME", "PATH", "USER"} {
		if err := base.SetVar(name, "old "+name); err != nil {
			t.Fatal(err)
		}
		base.MarkLive(name, Live{Source: name})
		if err := base.SetVarFlag(name, "export", "1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := base.SetVar("PATH", "fixed"); err != nil {
		t.Fatal(err)
	}
	base.Freeze()
	digest := base.Digest()
	d := base.Copy()
	if err := d.AppendVar("HOME", "/more"); err != nil {
		t.Fatal(err)
	}
	if len(w.seen) > 0 {
		t.Errorf("nothing was read, but %q seem to have been", w.seen)
	}
	e := NewEncoder(nil)
	whole, delta := e.Store(base, nil), e.Store(d, base)
	x := decoder(t, e)
	now := map[string]string{"HOME": "new HOME", "PATH": "new PATH", "USER": "new USER"}
	again := restore(t, x, whole, Restore{Live: now})
	if again.Digest() != digest {
		t.Error("the digest depends on the values of live variables")
	}
	recipe := restore(t, x, delta, Restore{Base: again, Live: now})
	for name, want := range map[string]string{"HOME": "new HOME/more", "PATH": "fixed", "USER": "new USER"} {
		if got, _, _ := recipe.Var(name, true); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
		if h := recipe.History(name); h[0].Detail != "new "+name {
			t.Errorf("history of %s: %+v", name, h)
		}
	}
	w.seen = nil
	_, _, _ = d.Var("PATH", true)
	_, _ = d.Assigned("USER")
	_, _ = d.Expand("${HOME}")
	if want := []string{"USER", "HOME"}; !reflect.DeepEqual(w.seen, want) {
		t.Errorf("seen %q, want %q", w.seen, want)
	}
}

// TestInstead checks that damaged variables are replaced by those that are made anew.
func TestInstead(t *testing.T) {
	t.Parallel()
	base := New()
	base.Freeze()
	d := base.Copy()
	if err := d.SetVar("A", "1"); err != nil {
		t.Fatal(err)
	}
	e := NewEncoder(nil)
	data := e.Store(d, base)
	x := decoder(t, e)
	got, err := x.Store(data[:len(data)-1], Restore{Base: base, Instead: func() *Data { return d }})
	if err != nil {
		t.Fatal(err)
	}
	if v, _, _ := got.Var("A", true); v != "1" {
		t.Errorf("A = %q", v)
	}
}

// FuzzDecoder feeds bytes that no encoder wrote: they give an error or some store, and take neither for ever nor a panic.
func FuzzDecoder(f *testing.F) {
	d := New()
	_ = d.SetVar("A", "1")
	_ = d.SetVar("A:x:append", "2")
	_ = d.SetVarFlag("A", "f", "3")
	e := NewEncoder(nil)
	store := e.Store(d, nil)
	strings, variables := e.Pools()
	f.Add(strings, variables, store)
	f.Add([]byte{}, []byte{1}, []byte{255})
	f.Fuzz(func(t *testing.T, strings, variables, store []byte) {
		start := time.Now()
		x, err := NewDecoder(strings, variables)
		if err != nil {
			return
		}
		d, err := x.Store(store, Restore{Instead: New})
		if err != nil {
			return
		}
		for _, name := range d.Keys() {
			d.History(name)
		}
		if time.Since(start) > 5*time.Second {
			t.Error("this takes too long")
		}
	})
}
