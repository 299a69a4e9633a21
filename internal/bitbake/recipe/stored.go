package recipe

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
	"sync"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/pyeval"
)

// stored is what a cache file holds.
type stored struct {
	x       *datastore.Decoder
	facts   []fact
	folders map[string]mark // of facts about missing paths
	sets    [][]byte        // lists of facts
	libs    [][]byte
	// injected are the modules that metadata has added to bb.utils._context.
	injected map[string]string
	whole    bool // no recipe failed
	first    int  // size of the file when it was last made without an older one
	configs  []*storedConfig

	mu      sync.Mutex
	made    []*pyeval.Library // libs that were needed
	holding []bool            // facts that hold; nil = all do
}

// storedConfig is a multiconfig in a cache file.
type storedConfig struct {
	mc       string
	digest   string // of the configuration, without what is different each time
	set      int
	live     map[string]datastore.Live
	read     map[string]string // live variables that recipes read, with the values they had
	base     []byte
	messages []message // of all recipes
	recipes  []storedRecipe
}

// storedRecipe is a recipe file in a cache file.
type storedRecipe struct {
	file, layer string
	priority    int
	appends     []string
	set         int
	data        []byte

	live     map[string]string // as in data
	messages []message
}

const (
	cacheMagic   = "n3xparse"
	saltSize     = 32
	cacheHeader  = len(cacheMagic) + saltSize + 8 + 4
	maxCacheFile = 1 << 30
)

var errCache = errors.New("the parse cache is of another version, or damaged")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal puts the header before a file's content: any other program, and any change of the bytes, shows.
func seal(salt string, content []byte) []byte {
	out := make([]byte, 0, cacheHeader+len(content))
	out = append(append(out, cacheMagic...), salt[:saltSize]...)
	out = binary.LittleEndian.AppendUint64(out, uint64(len(content)))
	sum := crc32.Update(crc32.Checksum(out, castagnoli), castagnoli, content)
	return append(binary.LittleEndian.AppendUint32(out, sum), content...)
}

func unseal(salt string, data []byte) ([]byte, error) {
	if len(data) < cacheHeader || string(data[:len(cacheMagic)+saltSize]) != cacheMagic+salt[:saltSize] {
		return nil, errCache
	}
	content := data[cacheHeader:]
	head := data[:cacheHeader-4]
	if binary.LittleEndian.Uint64(head[len(head)-8:]) != uint64(len(content)) {
		return nil, errCache
	}
	sum := crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, content)
	if sum != binary.LittleEndian.Uint32(data[cacheHeader-4:]) {
		return nil, errCache
	}
	return content, nil
}

// readStored reads a file's content. The parts of single configurations, recipes and functions are only found here.
func readStored(content []byte) (*stored, error) {
	var none datastore.Decoder
	top := none.Reader(content)
	strings, variables, body, first := top.Bytes(), top.Bytes(), top.Bytes(), top.Int()
	if err := top.Err(); err != nil {
		return nil, err
	}
	x, err := datastore.NewDecoder(strings, variables)
	if err != nil {
		return nil, err
	}
	s := &stored{x: x, folders: map[string]mark{}}
	r := reader{x.Reader(body), s}
	s.first, s.whole = first, r.Bool()
	s.facts = make([]fact, r.Count(4))
	for i := range s.facts {
		s.facts[i] = r.fact()
	}
	for range r.Count(2) {
		path := r.Text()
		s.folders[path] = r.mark()
	}
	for _, list := range []*[][]byte{&s.sets, &s.libs} {
		*list = make([][]byte, r.Count(1))
		for i := range *list {
			(*list)[i] = r.Bytes()
		}
	}
	s.made = make([]*pyeval.Library, len(s.libs))
	s.injected = r.Map()
	for range r.Count(4) {
		s.configs = append(s.configs, r.config())
	}
	return s, r.Err()
}

func (w writer) mark(m mark) {
	w.Bool(m != mark{})
	if m != (mark{}) {
		w.Number(m.dev)
		w.Number(m.ino)
		w.Int(int(m.size))
		w.Int(int(m.changed))
		w.Bool(m.folder)
	}
}

func (r reader) mark() mark {
	if !r.Bool() {
		return mark{}
	}
	return mark{dev: r.Number(), ino: r.Number(), size: int64(r.Int()), changed: int64(r.Int()), folder: r.Bool()}
}

func (w writer) fact(f fact) {
	w.Number(uint64(f.kind))
	w.Text(f.name)
	w.Text(f.seen)
	w.mark(f.quick)
	w.Text(f.under)
}

func (r reader) fact() fact {
	return fact{input: input{inputKind(r.Number()), r.Text()}, seen: r.Text(), quick: r.mark(), under: r.Text()}
}

func (w writer) config(c *storedConfig) {
	w.Text(c.mc)
	w.Text(c.digest)
	w.Int(c.set)
	w.Number(uint64(len(c.live)))
	for _, name := range sortedKeys(c.live) {
		w.Text(name)
		w.Text(c.live[name].Source)
		w.Bool(c.live[name].Clock)
	}
	w.Map(c.read)
	w.Bytes(c.base)
	w.messages(c.messages)
	w.Number(uint64(len(c.recipes)))
	for _, r := range c.recipes {
		w.Text(r.file)
		w.Text(r.layer)
		w.Int(r.priority)
		w.list(r.appends)
		w.Int(r.set)
		w.Bytes(r.data)
	}
}

func (r reader) config() *storedConfig {
	c := &storedConfig{mc: r.Text(), digest: r.Text(), set: r.Int(), live: map[string]datastore.Live{}}
	for range r.Count(3) {
		name := r.Text()
		c.live[name] = datastore.Live{Source: r.Text(), Clock: r.Bool()}
	}
	c.read, c.base, c.messages = r.Map(), r.Bytes(), r.messages()
	n := r.Count(7)
	c.recipes = make([]storedRecipe, n)
	for i := range c.recipes {
		c.recipes[i] = storedRecipe{file: r.Text(), layer: r.Text(), priority: r.Int(), appends: r.list(), set: r.Int(), data: r.Bytes()}
	}
	return c
}

// library is a library by its number.
func (s *stored) library(n uint64) (*pyeval.Library, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.makeLibrary(n, uint64(len(s.libs))+1)
}

func (s *stored) makeLibrary(n, below uint64) (*pyeval.Library, error) {
	if n == 0 {
		return nil, nil
	}
	if n >= below { // parents come first
		return nil, errCache
	}
	if l := s.made[n-1]; l != nil {
		return l, nil
	}
	r := reader{s.x.Reader(s.libs[n-1]), s}
	parent, err := s.makeLibrary(r.Number(), n)
	if err != nil {
		return nil, err
	}
	defs := r.blocks()
	if r.Err() != nil {
		return nil, r.Err()
	}
	s.made[n-1] = pyeval.RestoreLibrary(parent, defs)
	return s.made[n-1], nil
}

// holds reports whether all facts of a set hold.
func (s *stored) holds(set int) bool {
	if s.holding == nil {
		return true
	}
	facts, ok := s.members(set)
	return ok && !slices.ContainsFunc(facts, func(i int) bool { return !s.holding[i] })
}

// members are the facts of a set.
func (s *stored) members(set int) ([]int, bool) {
	if set < 0 || set >= len(s.sets) {
		return nil, false
	}
	r := s.x.Reader(s.sets[set])
	list := make([]int, r.Count(1))
	at := uint64(0)
	for i := range list {
		if at += r.Number(); at >= uint64(len(s.facts)) {
			return nil, false
		}
		list[i] = int(at)
	}
	return list, r.Err() == nil
}
