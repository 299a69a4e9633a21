package datastore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"n3x/internal/diag"
)

// Decoder reads what an [Encoder] has written. It may be used by several goroutines. Data that no encoder wrote gives an
// error, or some store; it never panics.
type Decoder struct {
	strings   table
	variables table
	made      [poolShards][]atomic.Pointer[variable] // by position in the pool: decoded once, shared by all stores
}

// NewDecoder takes the pools of [Encoder.Pools].
func NewDecoder(strings, variables []byte) (*Decoder, error) {
	x := &Decoder{}
	if err := errors.Join(x.strings.read(strings), x.variables.read(variables)); err != nil {
		return nil, err
	}
	for i := range x.made {
		x.made[i] = make([]atomic.Pointer[variable], len(x.variables[i]))
	}
	return x, nil
}

// Reader takes values that a [Writer] wrote off the front of data; after an error it gives zero values.
type Reader struct {
	x    *Decoder
	rest []byte
	err  error
}

// Reader starts at the front of data.
func (x *Decoder) Reader(data []byte) *Reader { return &Reader{x: x, rest: data} }

// Err is the first error.
func (r *Reader) Err() error { return r.err }

// Fail makes the data count as damaged.
func (r *Reader) Fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s is damaged", what)
	}
	r.rest = nil
}

// Number reads a number.
func (r *Reader) Number() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.Fail("a number")
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

// Int reads a number that may be negative.
func (r *Reader) Int() int {
	n, size := binary.Varint(r.rest)
	if size <= 0 {
		r.Fail("a number")
		return 0
	}
	r.rest = r.rest[size:]
	return int(n)
}

// Count reads the length of a list whose entries take at least size bytes each.
func (r *Reader) Count(size int) int {
	n := r.Number()
	if n > uint64(len(r.rest)/size) {
		r.Fail("a list")
		return 0
	}
	return int(n)
}

// Bool reads a truth value.
func (r *Reader) Bool() bool { return r.byte() == 1 }

func (r *Reader) byte() byte {
	if len(r.rest) == 0 {
		r.Fail("a byte")
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

// Text reads a string.
func (r *Reader) Text() string { return r.string(r.Number()) }

func (r *Reader) string(id uint64) string {
	s, ok := r.x.strings.at(id)
	if !ok {
		r.Fail("a string")
	}
	return s
}

// Texts reads a list of strings; nil when it is empty.
func (r *Reader) Texts() []string {
	n := r.Count(1)
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = r.Text()
	}
	return list
}

// Bytes reads data that is part of the reader's.
func (r *Reader) Bytes() []byte {
	n := r.Count(1)
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// Pos reads a place.
func (r *Reader) Pos() diag.Pos { return diag.Pos{File: r.Text(), Line: r.Int(), Col: r.Int()} }

// Map reads a map; nil when it is empty.
func (r *Reader) Map() map[string]string {
	n := r.Count(2)
	if n == 0 {
		return nil
	}
	m := make(map[string]string, n)
	for range n {
		key := r.Text()
		m[key] = r.Text()
	}
	return m
}

// Restore says what a store that is read belongs to.
type Restore struct {
	Base *Data             // the store that it was written as a difference to; nil when it was written whole
	Live map[string]string // today's values of its live variables
	// Instead makes the store anew, should the data turn out to be damaged.
	Instead func() *Data
}

// Store makes the store that [Encoder.Store] wrote. It may be used like a copy of a frozen store. Its variables are read from
// data when one is first needed.
func (x *Decoder) Store(data []byte, how Restore) (*Data, error) {
	d := New()
	var bottom *layer
	depth := 0
	if base := how.Base; base != nil {
		bottom, d.ready, d.events, d.Environment, d.filters, d.renamed = base.top.parent, base.ready, base.events, base.Environment, base.filters, base.renamed
		depth = bottom.depth + 1
	} else {
		d.renamed = nil
	}
	r := x.Reader(data)
	d.origin = origin{r.Pos(), r.Text(), Site(r.Int())}
	d.old = r.Bool()
	for _, m := range []*map[string]string{&d.filters, &d.renamed} {
		if !r.Bool() {
			*m = r.Map()
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	below := &layer{parent: bottom, depth: depth, pending: &pending{}}
	below.pending.read = func() map[string]*variable {
		vars, err := r.variables(how.Live)
		if err != nil {
			vars = how.Instead().above(bottom)
		}
		return vars
	}
	d.top = &layer{vars: map[string]*variable{}, parent: below, depth: depth + 1}
	return d, nil
}

func (r *Reader) variables(live map[string]string) (map[string]*variable, error) {
	vars := map[string]*variable{}
	for shard := range uint64(poolShards) {
		part := r.x.Reader([]byte(r.Text()))
		at := uint64(0)
		for len(part.rest) > 0 && r.err == nil {
			at += part.Number()
			name := part.string(at*poolShards + shard)
			v := part.variable(part.Number())
			if r.err = errors.Join(r.err, part.err); r.err != nil {
				break
			}
			if v.live != nil {
				v = v.revive(live[name])
			}
			vars[name] = v
		}
	}
	return vars, r.err
}

// Packed is a reader of what [Writer.Packed] wrote.
func (r *Reader) Packed() *Reader { return r.x.Reader([]byte(r.Text())) }

// revive is a live variable with today's value.
func (v *variable) revive(value string) *variable {
	c := *v
	if v.current() {
		c.value.s = value
	}
	if c.live.event >= 0 && c.live.event < len(c.history) {
		c.history = withDetail(c.history, c.live.event, value)
	}
	return &c
}

// variable is the one at a position of the pool.
func (r *Reader) variable(id uint64) *variable {
	data, ok := r.x.variables.at(id)
	if !ok {
		r.Fail("a variable")
		return nil
	}
	slot := &r.x.made[id%poolShards][id/poolShards]
	if v := slot.Load(); v != nil {
		return v
	}
	one := r.x.Reader([]byte(data))
	v := one.decode()
	if one.err != nil || len(one.rest) > 0 {
		r.Fail("a variable")
		return nil
	}
	if !slot.CompareAndSwap(nil, v) {
		return slot.Load()
	}
	return v
}

// decode reads what [Writer.variable] wrote.
func (r *Reader) decode() *variable {
	v := &variable{shared: true}
	v.value, v.weak = r.value(), r.value()
	if n := r.Count(3); n > 0 {
		v.flags = make([]flagEntry, n)
		for i := range v.flags {
			v.flags[i] = flagEntry{name: r.Text(), weak: r.Bool(), value: r.value()}
		}
	}
	v.appends, v.prepends, v.removes = r.operations(), r.operations(), r.operations()
	if n := r.Count(2); n > 0 {
		v.overridden = make([]override, n)
		for i := range v.overridden {
			v.overridden[i] = override{name: r.Text(), override: r.Text()}
		}
	}
	if n := r.Count(8); n > 0 {
		v.history = make([]*Event, n)
		events := make([]Event, n)
		for i := range events {
			v.history[i] = &events[i]
			events[i] = Event{Op: r.Text(), Flag: r.Text(), Detail: r.Text(), Function: r.Text(), Pos: r.Pos(), Site: Site(r.Int())}
		}
	}
	if r.Bool() {
		v.live = &Live{Source: r.Text(), Clock: r.Bool(), event: r.Int(), past: r.Bool()}
	}
	return v
}

func (r *Reader) value() text {
	kind := r.byte()
	t := text{ok: kind&1 != 0, object: kind&2 != 0, none: kind&4 != 0}
	if kind&8 != 0 {
		t.s = r.Text()
	}
	return t
}

func (r *Reader) operations() []operation {
	n := r.Count(2)
	if n == 0 {
		return nil
	}
	list := make([]operation, n)
	for i := range list {
		list[i] = operation{text: r.value(), override: r.Text()}
	}
	return list
}
