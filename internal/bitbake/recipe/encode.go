package recipe

import (
	"maps"
	"slices"
	"sync"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/pyeval"
)

// encoder writes what evaluations gave. It may be used by several goroutines.
type encoder struct {
	*datastore.Encoder
	mu    sync.Mutex
	libs  map[*pyeval.Library]uint64 // from 1
	texts [][]byte                   // of libs: the parent and the blocks
}

func newEncoder(old *datastore.Decoder) *encoder {
	return &encoder{Encoder: datastore.NewEncoder(old), libs: map[*pyeval.Library]uint64{}}
}

// library is a library's number, 0 for none.
func (e *encoder) library(l *pyeval.Library) uint64 {
	if l == nil {
		return 0
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.addLibrary(l)
}

func (e *encoder) addLibrary(l *pyeval.Library) uint64 {
	if l == nil {
		return 0
	}
	if n, ok := e.libs[l]; ok {
		return n
	}
	w := writer{Writer: &datastore.Writer{Encoder: e.Encoder}}
	w.Number(e.addLibrary(l.Parent()))
	w.blocks(l)
	e.texts = append(e.texts, w.Out)
	n := uint64(len(e.texts))
	e.libs[l] = n
	return n
}

// writer adds the values of this package.
type writer struct {
	*datastore.Writer
	libs *encoder // nil = functions are written where they stand
}

func (e *encoder) writer() writer {
	return writer{&datastore.Writer{Encoder: e.Encoder}, e}
}

func (w writer) blocks(l *pyeval.Library) {
	defs := l.Defs()
	w.Number(uint64(len(defs)))
	for _, d := range defs {
		w.Pos(d.Pos)
		w.Text(d.Source)
	}
}

func (w writer) library(l *pyeval.Library) {
	if w.libs != nil {
		w.Number(w.libs.library(l))
		return
	}
	for ; l != nil; l = l.Parent() {
		w.blocks(l)
	}
}

// list is Texts that tells nil from empty.
func (w writer) list(list []string) {
	w.Bool(list != nil)
	w.Texts(list)
}

func (w writer) lists(m map[string][]string) {
	w.Bool(m != nil)
	w.Number(uint64(len(m)))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		w.Text(k)
		w.list(m[k])
	}
}

// functions writes what Python that is evaluated later needs of a state.
func (w writer) functions(s *state) {
	w.library(s.lib)
	w.Number(uint64(len(s.pyLibs)))
	for _, l := range s.pyLibs {
		w.Text(l.Dir)
		w.Text(l.Namespace)
	}
}

func (w writer) state(s *state) {
	w.functions(s)
	w.Text(s.classType)
	w.list(s.inherited)
	w.Number(uint64(len(s.deferred)))
	for _, d := range s.deferred {
		w.Text(d.classes)
		w.Pos(d.pos)
	}
	for _, list := range [][]handler{s.handlers, s.registered} {
		w.Number(uint64(len(list)))
		for _, h := range list {
			w.Text(h.name)
			w.Pos(h.pos)
		}
	}
	w.Number(uint64(len(s.anonymous)))
	for _, a := range s.anonymous {
		w.Text(a.body)
		w.Pos(a.pos)
		w.Text(a.name)
	}
	w.list(s.files)
	w.mentions(s.mentions)
}

func (w writer) mentions(list []mention) {
	w.Number(uint64(len(list)))
	for _, m := range list {
		w.Text(m.task)
		w.Pos(m.pos)
	}
}

func (w writer) messages(list []message) {
	w.Number(uint64(len(list)))
	for _, m := range list {
		w.Text(m.level)
		w.Text(m.text)
		w.Pos(m.pos)
	}
}

func (w writer) inclusion(i *inclusion) {
	w.Text(i.file)
	w.Number(uint64(len(i.children)))
	for _, c := range i.children {
		w.inclusion(c)
	}
}

// recipe writes all fields but Data and those that are the same for a file's variants.
func (w writer) recipe(r *Recipe) {
	for _, s := range []string{r.Variant, r.PN, r.PE, r.PV, r.PR, r.Skip} {
		w.Text(s)
	}
	for _, l := range [][]string{r.Inherits, r.Files} {
		w.packed(func(w writer) { w.list(l) })
	}
	w.packed(func(w writer) {
		for _, l := range [][]string{r.Provides, r.RProvides, r.Depends, r.Packages, r.PackagesDynamic} {
			w.list(l)
		}
		w.lists(r.RDepends)
		w.lists(r.RRecommends)
	})
	w.Int(r.DefaultPreference)
	w.Bool(r.ExcludeFromWorld)
	w.Number(uint64(len(r.Tasks)))
	for _, t := range r.Tasks {
		w.packed(func(w writer) {
			w.Text(t.Name)
			w.list(t.After)
			w.Bool(t.Flags != nil)
			w.Map(t.Flags)
		})
	}
}

// packed writes what is the same for many recipes.
func (w writer) packed(fill func(writer)) {
	w.Packed(func(part *datastore.Writer) { fill(writer{part, w.libs}) })
}

// packed reads what [writer.packed] wrote.
func (r reader) packed(read func(reader)) {
	part := reader{r.Packed(), r.s}
	read(part)
	if part.Err() != nil {
		r.Fail("a part of a recipe")
	}
}

// reader reads what a writer wrote.
type reader struct {
	*datastore.Reader
	s *stored
}

func (r reader) library() *pyeval.Library {
	l, err := r.s.library(r.Number())
	if err != nil {
		r.Fail("a library")
	}
	return l
}

func (r reader) blocks() []pyeval.Def {
	defs := make([]pyeval.Def, r.Count(4))
	for i := range defs {
		defs[i] = pyeval.Def{Pos: r.Pos(), Source: r.Text()}
	}
	return defs
}

func (r reader) list() []string {
	set, list := r.Bool(), r.Texts()
	if set && list == nil {
		list = []string{}
	}
	return list
}

func (r reader) lists() map[string][]string {
	set, n := r.Bool(), r.Count(3)
	if !set {
		return nil
	}
	m := make(map[string][]string, n)
	for range n {
		key := r.Text()
		m[key] = r.list()
	}
	return m
}

func (r reader) functions() state {
	s := state{lib: r.library()}
	for range r.Count(2) {
		s.pyLibs = append(s.pyLibs, pyeval.PyLib{Dir: r.Text(), Namespace: r.Text()})
	}
	return s
}

func (r reader) state() state {
	s := r.functions()
	s.classType, s.inherited = r.Text(), r.list()
	for range r.Count(4) {
		s.deferred = append(s.deferred, deferredInherit{r.Text(), r.Pos()})
	}
	for _, list := range []*[]handler{&s.handlers, &s.registered} {
		for range r.Count(4) {
			*list = append(*list, handler{r.Text(), r.Pos()})
		}
	}
	for range r.Count(5) {
		s.anonymous = append(s.anonymous, anonymous{body: r.Text(), pos: r.Pos(), name: r.Text()})
	}
	s.files = r.list()
	s.mentions = r.mentions()
	return s
}

func (r reader) mentions() []mention {
	var list []mention
	for range r.Count(4) {
		list = append(list, mention{r.Text(), r.Pos()})
	}
	return list
}

func (r reader) messages() []message {
	var list []message
	for range r.Count(5) {
		list = append(list, message{r.Text(), r.Text(), r.Pos()})
	}
	return list
}

const maxInclusion = 200 // nesting; the reader of files allows half of that

func (r reader) inclusion(depth int) *inclusion {
	i := &inclusion{file: r.Text()}
	n := r.Count(2)
	if depth > maxInclusion {
		r.Fail("the list of included files")
		return i
	}
	for range n {
		i.children = append(i.children, r.inclusion(depth+1))
	}
	return i
}

func (r reader) recipe() *Recipe {
	out := &Recipe{}
	for _, s := range []*string{&out.Variant, &out.PN, &out.PE, &out.PV, &out.PR, &out.Skip} {
		*s = r.Text()
	}
	for _, l := range []*[]string{&out.Inherits, &out.Files} {
		r.packed(func(r reader) { *l = r.list() })
	}
	r.packed(func(r reader) {
		for _, l := range []*[]string{&out.Provides, &out.RProvides, &out.Depends, &out.Packages, &out.PackagesDynamic} {
			*l = r.list()
		}
		out.RDepends, out.RRecommends = r.lists(), r.lists()
	})
	out.DefaultPreference, out.ExcludeFromWorld = r.Int(), r.Bool()
	n := r.Count(1)
	if n > 0 {
		out.Tasks = make([]*Task, n)
	}
	for i := range out.Tasks {
		t := &Task{}
		r.packed(func(r reader) {
			t.Name, t.After = r.Text(), r.list()
			set := r.Bool()
			if t.Flags = r.Map(); t.Flags == nil && set {
				t.Flags = map[string]string{}
			}
		})
		out.Tasks[i] = t
	}
	return out
}

// evaluatorOf makes the evaluator of a store from the cache.
func (l *loader) evaluatorOf(d *datastore.Data, s state) *evaluator {
	e := &evaluator{shared: l.shared, ctx: l.background, d: d, state: s, done: true}
	d.SetEvaluator(e)
	return e
}

// replay says messages again.
func (l *loader) replay(list []message) {
	for _, m := range list {
		switch {
		case m.level == "":
			l.warn(m.pos, m.text)
		default:
			l.log(m.level, m.text)
		}
	}
}
