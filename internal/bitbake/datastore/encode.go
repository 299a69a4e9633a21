package datastore

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"sync"

	"n3x/internal/diag"
)

// Encoder writes stores in a compact form, for a parse cache. Strings and variables that several stores have in common are
// written once, into pools. It may be used by several goroutines.
type Encoder struct {
	strings   pool
	variables pool
	known     sync.Map // *variable that several stores share -> its position
}

// coded is where a variable and its name are in the pools.
type coded struct{ name, variable uint64 }

// NewEncoder starts with empty pools, or with those of a decoder, whose strings and variables keep their positions.
func NewEncoder(old *Decoder) *Encoder {
	e := &Encoder{}
	if old != nil {
		e.strings.start(&old.strings)
		e.variables.start(&old.variables)
	}
	return e
}

// Pools are the two pools, as [NewDecoder] reads them. The encoder must not be in use.
func (e *Encoder) Pools() (strings, variables []byte) { return e.strings.bytes(), e.variables.bytes() }

// Writer collects values for a [Reader]. Strings go to the encoder's pool; without an encoder they stand where they are, so
// that equal values give equal bytes in every process.
type Writer struct {
	Encoder *Encoder
	Out     []byte
}

// Number writes a number.
func (w *Writer) Number(n uint64) { w.Out = binary.AppendUvarint(w.Out, n) }

// Int writes a number that may be negative.
func (w *Writer) Int(n int) { w.Out = binary.AppendVarint(w.Out, int64(n)) }

// Bool writes a truth value.
func (w *Writer) Bool(b bool) {
	if b {
		w.Out = append(w.Out, 1)
	} else {
		w.Out = append(w.Out, 0)
	}
}

// Text writes a string.
func (w *Writer) Text(s string) {
	if w.Encoder != nil {
		w.Number(w.Encoder.strings.put(s))
		return
	}
	w.Number(uint64(len(s)))
	w.Out = append(w.Out, s...)
}

// Texts writes a list of strings.
func (w *Writer) Texts(list []string) {
	w.Number(uint64(len(list)))
	for _, s := range list {
		w.Text(s)
	}
}

// Bytes writes data of any kind, not into the pool.
func (w *Writer) Bytes(b []byte) {
	w.Number(uint64(len(b)))
	w.Out = append(w.Out, b...)
}

// Pos writes a place.
func (w *Writer) Pos(p diag.Pos) {
	w.Text(p.File)
	w.Int(p.Line)
	w.Int(p.Col)
}

// Map writes a map; nil and empty are the same.
func (w *Writer) Map(m map[string]string) {
	w.Number(uint64(len(m)))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		w.Text(k)
		w.Text(m[k])
	}
}

// Store writes what d has beyond base, on a copy of which it was made; a nil base writes everything. Expanded values, the
// evaluator and BB_ORIGENV are not written, and neither is the value of a [Live] variable.
func (e *Encoder) Store(d, base *Data) []byte {
	var bottom *layer
	var filters, renamed map[string]string
	if base != nil {
		bottom, filters, renamed = base.top.parent, base.filters, base.renamed
	}
	vars := d.above(bottom)
	var parts [poolShards][]coded
	for name, v := range vars {
		c := e.variable(name, v)
		parts[c.name%poolShards] = append(parts[c.name%poolShards], c)
	}
	w := &Writer{Encoder: e, Out: make([]byte, 0, 4*poolShards)}
	w.settings(d, filters, renamed)
	for _, part := range parts {
		w.part(part)
	}
	return w.Out
}

// part writes some of a store's variables. They go into the pool as one: many stores are the same but for a few of their parts.
func (w *Writer) part(list []coded) {
	slices.SortFunc(list, func(a, b coded) int { return cmp.Compare(a.name, b.name) })
	part := Writer{Out: make([]byte, 0, 6*len(list))}
	last := uint64(0)
	for _, c := range list {
		part.Number(c.name/poolShards - last)
		part.Number(c.variable)
		last = c.name / poolShards
	}
	w.Text(string(part.Out))
}

// Packed writes what fill writes, into the pool as one: the same again takes no space.
func (w *Writer) Packed(fill func(*Writer)) {
	part := Writer{Encoder: w.Encoder}
	fill(&part)
	w.Text(string(part.Out))
}

// Digest is the same for stores that [Encoder.Store] writes alike, in any process.
func (d *Data) Digest() [sha256.Size]byte {
	w := &Writer{}
	w.settings(d, nil, nil)
	vars := d.above(nil)
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		w.Text(name)
		w.variable(vars[name])
	}
	return sha256.Sum256(w.Out)
}

// above are the variables of the layers over bottom.
func (d *Data) above(bottom *layer) map[string]*variable {
	vars := map[string]*variable{}
	for l := d.top; l != nil && l != bottom; l = l.parent {
		for name, v := range l.all() {
			if _, hidden := vars[name]; !hidden {
				vars[name] = v
			}
		}
	}
	return vars
}

// settings writes what a store has beside variables.
func (w *Writer) settings(d *Data, filters, renamed map[string]string) {
	w.Pos(d.origin.pos)
	w.Text(d.origin.function)
	w.Int(int(d.origin.site))
	w.Bool(d.old)
	for _, m := range [][2]map[string]string{{d.filters, filters}, {d.renamed, renamed}} {
		same := maps.Equal(m[0], m[1])
		w.Bool(same)
		if !same {
			w.Map(m[0])
		}
	}
}

func (e *Encoder) variable(name string, v *variable) coded {
	c := coded{name: e.strings.put(name)}
	if v.shared {
		if id, ok := e.known.Load(v); ok {
			c.variable = id.(uint64)
			return c
		}
	}
	w := Writer{Encoder: e, Out: make([]byte, 0, 64)}
	w.variable(v)
	c.variable = e.variables.put(string(w.Out))
	if v.shared {
		e.known.Store(v, c.variable)
	}
	return c
}

// variable writes all fields of a variable but shared.
func (w *Writer) variable(v *variable) {
	value := v.value
	if v.current() {
		value.s = ""
	}
	w.value(value)
	w.value(v.weak)
	w.Number(uint64(len(v.flags)))
	for _, f := range v.flags {
		w.Text(f.name)
		w.Bool(f.weak)
		w.value(f.value)
	}
	for _, list := range [][]operation{v.appends, v.prepends, v.removes} {
		w.Number(uint64(len(list)))
		for _, op := range list {
			w.value(op.text)
			w.Text(op.override)
		}
	}
	w.Number(uint64(len(v.overridden)))
	for _, o := range v.overridden {
		w.Text(o.name)
		w.Text(o.override)
	}
	w.Number(uint64(len(v.history)))
	for i, ev := range listed(v.history) {
		if v.live != nil && v.live.event == i {
			ev.Detail = ""
		}
		w.Text(ev.Op)
		w.Text(ev.Flag)
		w.Text(ev.Detail)
		w.Text(ev.Function)
		w.Pos(ev.Pos)
		w.Int(int(ev.Site))
	}
	w.Bool(v.live != nil)
	if v.live != nil {
		w.Text(v.live.Source)
		w.Bool(v.live.Clock)
		w.Int(v.live.event)
		w.Bool(v.live.past)
	}
}

func (w *Writer) value(t text) {
	kind := byte(0)
	for i, set := range []bool{t.ok, t.object, t.none, t.s != ""} {
		if set {
			kind |= 1 << i
		}
	}
	w.Out = append(w.Out, kind)
	if t.s != "" {
		w.Text(t.s)
	}
}
