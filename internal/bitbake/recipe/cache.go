package recipe

import (
	"cmp"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"n3x/internal/atomicfile"
	"n3x/internal/bitbake/datastore"
)

// cache is the parse cache of one load: a file with what an earlier load of the same build directory with the same options
// gave, and what this load adds. A nil cache does nothing.
type cache struct {
	l     *loader
	path  string
	salt  string
	facts *facts
	told  map[string]string // texts that tell the time -> what they told this load
	old   *stored           // nil = nothing can be used
	out   *encoder

	mu      sync.Mutex
	rows    map[input]int
	list    []input // what is new, by row
	sets    map[string]int
	setList [][]byte
	configs map[string]*storedConfig
	used    map[int]bool // rows of sets of this load
	changed bool         // there is something to write
	touched int          // facts that only a look at the content confirmed
}

// openCache looks for the file. Whatever is wrong with it, it is as if there were none.
func openCache(ctx context.Context, l *loader, start time.Time) *cache {
	if !l.caching {
		return nil
	}
	c := &cache{l: l, salt: programID(), facts: &facts{l: l, ctx: ctx, start: start}, rows: map[input]int{}, sets: map[string]int{}, configs: map[string]*storedConfig{}, used: map[int]bool{}, told: map[string]string{}}
	c.path = filepath.Join(l.opts.Cache, "parse-"+l.identity()+".n3x")
	if info, err := os.Stat(c.path); err == nil && info.Size() < maxCacheFile {
		if data, err := os.ReadFile(c.path); err == nil {
			if content, err := unseal(c.salt, data); err == nil {
				c.old, _ = readStored(content)
			}
			if c.old != nil && len(data) > 3*c.old.first+(4<<20) {
				c.old = nil // most of it is not in use any more
			}
		}
	}
	if c.old != nil && !c.check() {
		c.old = nil
	}
	return c
}

// identity is the same for loads whose results could be the same.
func (l *loader) identity() string {
	o := l.opts
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q %v %d %d %d %d %s ", l.topDir, o.BitBake, o.Prefiles, o.Postfiles, o.ConfigOnly, o.Python.CPUs, o.Python.MemPages, runtime.NumCPU(), os.Geteuid(), memory())
	for _, v := range l.tree.overlays {
		fmt.Fprintf(h, "%q ", v.Path)
	}
	fmt.Fprintf(h, "%q %T %v %v %v", sortedKeys(o.Python.Funcs), o.Python.Fallback, o.Python.Now != nil, o.Python.Run != nil, o.LayerPath != nil)
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// memory is what os.sysconf says of this machine's.
func memory() string {
	data, _ := os.ReadFile("/proc/meminfo")
	line, _, _ := strings.Cut(string(data), "\n")
	return line
}

// programID tells builds of this program apart: another one may evaluate otherwise.
var programID = sync.OnceValue(func() string {
	h := sha256.New()
	if f, err := elf.Open("/proc/self/exe"); err == nil {
		defer f.Close()
		for _, name := range []string{".note.go.buildid", ".note.gnu.build-id"} {
			if s := f.Section(name); s != nil {
				data, _ := s.Data()
				fmt.Fprintf(h, "%x ", data)
			}
		}
	}
	if info, err := os.Stat("/proc/self/exe"); err == nil {
		fmt.Fprintf(h, "%d", info.Size())
	}
	return string(h.Sum(nil))
})

// check looks which of the old facts hold, and reports whether anything of the file can be used.
func (c *cache) check() bool {
	s := c.old
	holding := make([]bool, len(s.facts))
	slow := make([]int, runtime.GOMAXPROCS(0))
	var group errgroup.Group
	for n := range slow {
		group.Go(func() error {
			for i := n; i < len(holding); i += len(slow) {
				f := s.facts[i]
				if holding[i] = c.facts.holds(f, s.folders); holding[i] && c.facts.outdated(f) {
					slow[n]++
				}
			}
			return nil
		})
	}
	_ = group.Wait()
	for _, n := range slow {
		c.touched += n
	}
	if slices.Contains(holding, false) {
		s.holding = holding
	}
	return len(s.configs) > 0 && s.configs[0].mc == ""
}

// today are the values of live variables now; ok is false when one cannot be told.
func (c *cache) today(live map[string]datastore.Live) (values map[string]string, ok bool) {
	values = map[string]string{}
	for name, l := range live {
		if !l.Clock {
			v, set := c.l.opts.Environ[l.Source]
			if !set {
				return nil, false
			}
			values[name] = v
			continue
		}
		c.mu.Lock()
		v, told := c.told[l.Source]
		if !told {
			if v, told = c.l.tellTime(c.facts.ctx, l.Source); told {
				c.told[l.Source] = v
			}
		}
		c.mu.Unlock()
		if !told {
			return nil, false
		}
		values[name] = v
	}
	return values, true
}

// find is the old entry of a multiconfig.
func (s *stored) find(mc string) *storedConfig {
	if s != nil {
		for _, c := range s.configs {
			if c.mc == mc {
				return c
			}
		}
	}
	return nil
}

// config is a multiconfig as it was before, or nil.
func (c *cache) config(mc string) *config {
	if c == nil {
		return nil
	}
	entry := c.old.find(mc)
	if entry == nil || !c.old.holds(entry.set) {
		return nil
	}
	live, ok := c.today(entry.live)
	if !ok {
		return nil
	}
	r := reader{c.old.x.Reader(entry.base), c.old}
	out := &config{restored: true, entry: entry, live: live}
	out.indexEntry()
	out.said = r.messages()
	state := r.state()
	includes := r.inclusion(0)
	out.names, out.layerDirs, out.masked = r.list(), r.list(), r.Int()
	for range r.Count(2) {
		out.appends = append(out.appends, recipeAppend{r.Text(), r.Text()})
	}
	out.files = r.list()
	for range r.Count(4) {
		out.layers = append(out.layers, Layer{Name: r.Text(), Pattern: r.Text(), Priority: r.Int(), Dir: r.Text()})
	}
	data := r.Bytes()
	if r.Err() != nil {
		return nil
	}
	d, err := c.old.x.Store(data, datastore.Restore{Live: live, Instead: func() *datastore.Data {
		e, err := c.l.baseConfiguration(c.l.background, mc)
		if err != nil {
			return datastore.New()
		}
		return e.d
	}})
	if err != nil {
		return nil
	}
	for i := range out.layers {
		if out.layers[i].compile() != nil {
			return nil
		}
	}
	if d.Environment, err = c.l.origin(); err != nil {
		return nil
	}
	out.base = c.l.evaluatorOf(d, state)
	out.base.includes = includes
	c.l.interp.Inject(c.old.injected)
	return out
}

// indexEntry finds recipes by their files.
func (conf *config) indexEntry() {
	conf.byFile = make(map[string]int, len(conf.entry.recipes))
	for i := range conf.entry.recipes {
		conf.byFile[conf.entry.recipes[i].file] = i
	}
}

// recipes are a stored file's recipes, or nil when they cannot be used for the configuration.
func (c *cache) recipes(w *World, conf *config, mc string, entry *storedRecipe) ([]*Recipe, []message) {
	r := reader{c.old.x.Reader(entry.data), c.old}
	live := r.Map()
	for name, was := range live {
		if v, ok := conf.live[name]; !ok || v != was {
			return nil, nil
		}
	}
	messages := r.messages()
	w.mention(r.mentions())
	out := make([]*Recipe, r.Count(10))
	for i := range out {
		one := r.recipe()
		s := r.functions()
		data := r.Bytes()
		if r.Err() != nil {
			return nil, nil
		}
		one.MC, one.File, one.Layer, one.Priority, one.Appends = mc, entry.file, entry.layer, entry.priority, entry.appends
		d, err := c.old.x.Store(data, datastore.Restore{Base: conf.base.d, Live: conf.live, Instead: func() *datastore.Data { return w.again(conf, one) }})
		if err != nil {
			return nil, nil
		}
		s.classType, s.inherited, s.files = "recipe", one.Inherits, one.Files
		one.Data = c.l.evaluatorOf(d, s).d
		out[i] = one
	}
	if r.Err() != nil || len(out) == 0 {
		return nil, nil
	}
	entry.live, entry.messages = live, messages
	return out, messages
}

// again evaluates a recipe whose stored variables turned out to be damaged.
func (w *World) again(conf *config, r *Recipe) *datastore.Data {
	variants, err := conf.base.recipe(w.loader.background, r.MC, r.File, r.Layer, r.Appends)
	if err == nil {
		for _, v := range variants {
			if v.name == r.Variant {
				return v.d
			}
		}
	}
	return datastore.New()
}

// keepRecipe notes what a recipe file gave.
func (c *cache) keepRecipe(conf *config, j job, rec *record, recipes []*Recipe) *storedRecipe {
	if c == nil {
		return nil
	}
	rec.close()
	w := c.encoder().writer()
	live := map[string]string{}
	for name := range rec.live {
		live[name] = conf.live[name]
	}
	w.Map(live)
	w.messages(rec.messages)
	w.mentions(rec.mentions)
	w.Number(uint64(len(recipes)))
	for _, r := range recipes {
		w.recipe(r)
		e := r.Data.Evaluator().(*evaluator)
		w.functions(&e.state)
		w.Bytes(w.Encoder.Store(r.Data, conf.base.d))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed = true
	layer, priority := j.collection()
	return &storedRecipe{file: j.file, layer: layer, priority: priority, appends: j.appends, set: c.set(rec), data: w.Out, live: live, messages: rec.messages}
}

// finish completes a multiconfig's entry by its recipes.
func (c *cache) finish(mc string, conf *config, recipes []*storedRecipe) {
	if c == nil {
		return
	}
	entry := c.configs[mc]
	if entry == nil { // of the file
		plain := *conf.entry
		entry = &plain
		c.configs[mc] = entry
	}
	old := len(entry.recipes) // a recipe that is gone, or one that failed
	entry.recipes, entry.messages, entry.read = nil, slices.Clone(conf.late), map[string]string{}
	for _, r := range recipes {
		if r == nil {
			continue
		}
		entry.recipes = append(entry.recipes, *r)
		entry.messages = append(entry.messages, r.messages...)
		maps.Copy(entry.read, r.live)
	}
	c.changed = c.changed || old != len(entry.recipes)
}

// world is what the file holds, when nothing at all has changed, or nil.
func (c *cache) world() *World {
	if c == nil || c.old == nil || c.old.holding != nil || !c.old.whole {
		return nil
	}
	w := &World{loader: c.l, configs: map[string]*config{}, cache: c}
	var messages []message
	for _, entry := range c.old.configs {
		live, ok := c.today(entry.live)
		if !ok {
			return nil
		}
		for name, was := range entry.read {
			if live[name] != was {
				return nil
			}
		}
		conf := c.config(entry.mc)
		if conf == nil {
			return nil
		}
		w.add(entry.mc, conf)
		conf.pending = func() []*Recipe {
			var all []*Recipe
			for i := range entry.recipes {
				r, _ := c.recipes(w, conf, entry.mc, &entry.recipes[i])
				if r == nil { // never: the file was not damaged
					file := entry.recipes[i].file
					r, _, _ = w.evaluate(c.l.background, &job{entry.mc, file, w.layerOf(file), entry.recipes[i].appends})
				}
				all = append(all, r...)
			}
			return all
		}
		messages = append(messages, entry.messages...)
	}
	w.layers = w.configs[""].layers
	c.l.layerDirs = w.configs[""].layerDirs
	for _, conf := range w.configs {
		c.l.replay(conf.said)
	}
	c.l.replay(messages)
	if c.touched > 0 {
		for _, entry := range c.old.configs {
			c.configs[entry.mc] = entry
		}
		c.write(w.order, true)
	}
	return w
}

// keepConfig notes a multiconfig that was evaluated, once its recipes are known.
func (c *cache) keepConfig(mc string, conf *config, layers []Layer) {
	if c == nil {
		return
	}
	e := conf.base
	e.rec.close()
	conf.live = e.d.LiveValues()
	old := c.old.find(mc)
	digest := conf.digest()
	entry := &storedConfig{mc: mc, digest: digest, live: e.d.LiveVariables()}
	if old != nil && old.digest == digest {
		conf.entry = old // its recipes are as good as before
		conf.indexEntry()
	}
	w := c.encoder().writer()
	w.messages(e.rec.messages)
	w.state(&e.state)
	w.inclusion(e.includes)
	w.list(conf.names)
	w.list(conf.layerDirs)
	w.Int(conf.masked)
	w.Number(uint64(len(conf.appends)))
	for _, a := range conf.appends {
		w.Text(a.recipe)
		w.Text(a.file)
	}
	w.list(conf.files)
	w.Number(uint64(len(layers)))
	for _, l := range layers {
		w.Text(l.Name)
		w.Text(l.Pattern)
		w.Int(l.Priority)
		w.Text(l.Dir)
	}
	w.Bytes(w.Encoder.Store(e.d, nil))
	entry.base = w.Out
	c.mu.Lock()
	defer c.mu.Unlock()
	entry.set = c.set(e.rec)
	c.configs[mc], c.changed = entry, true
}

// digest is the same when the configuration gives recipes the same.
func (conf *config) digest() string {
	w := writer{Writer: &datastore.Writer{}}
	w.state(&conf.base.state)
	sum := conf.base.d.Digest()
	state := sha256.Sum256(w.Out)
	return string(sum[:]) + string(state[:])
}

// encoder is made when there is something to write.
func (c *cache) encoder() *encoder {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.output()
}

func (c *cache) output() *encoder {
	if c.out != nil {
		return c.out
	}
	if c.old == nil {
		c.out = newEncoder(nil)
		return c.out
	}
	c.out = newEncoder(c.old.x)
	c.out.texts = slices.Clip(c.old.libs)
	c.old.mu.Lock()
	for i, l := range c.old.made {
		if l != nil {
			c.out.libs[l] = uint64(i) + 1
		}
	}
	c.old.mu.Unlock()
	for i, f := range c.old.facts {
		c.rows[f.input] = i
		c.list = append(c.list, f.input)
	}
	for i, s := range c.old.sets {
		c.sets[string(s)] = i
		c.setList = append(c.setList, s)
	}
	return c.out
}

// set is the number of a record's inputs.
func (c *cache) set(r *record) int {
	c.output()
	rows := make([]int, 0, len(r.inputs))
	for in := range r.inputs {
		n, ok := c.rows[in]
		if !ok {
			n = len(c.list)
			c.rows[in] = n
			c.list = append(c.list, in)
		}
		rows = append(rows, n)
		c.used[n] = true
	}
	slices.Sort(rows)
	w := &datastore.Writer{}
	w.Number(uint64(len(rows)))
	last := 0
	for _, n := range rows {
		w.Number(uint64(n - last))
		last = n
	}
	n, ok := c.sets[string(w.Out)]
	if !ok {
		n = len(c.setList)
		c.sets[string(w.Out)] = n
		c.setList = append(c.setList, w.Out)
	}
	return n
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// write puts what is new into the file, together with what could be used again. That it cannot be written is no error: the
// next load takes longer, and that is all.
func (c *cache) write(order []string, whole bool) {
	if c == nil || !c.changed && c.touched == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.output()
	w := writer{&datastore.Writer{Encoder: c.out.Encoder}, c.out}
	list, folders := c.current()
	w.Bool(whole)
	w.Number(uint64(len(list)))
	for _, f := range list {
		w.fact(f)
	}
	w.Number(uint64(len(folders)))
	for _, path := range sortedKeys(folders) {
		w.Text(path)
		w.mark(folders[path])
	}
	for _, list := range [][][]byte{c.setList, c.out.texts} {
		w.Number(uint64(len(list)))
		for _, b := range list {
			w.Bytes(b)
		}
	}
	w.Map(c.l.interp.Injected())
	w.Number(uint64(len(order)))
	for _, mc := range order {
		w.config(c.configs[mc])
	}
	strings, variables := c.out.Pools()
	file := datastore.Writer{Out: make([]byte, 0, len(strings)+len(variables)+len(w.Out)+32)}
	file.Bytes(strings)
	file.Bytes(variables)
	file.Bytes(w.Out)
	first := len(file.Out)
	if c.old != nil {
		first = c.old.first
	}
	file.Int(first)
	if err := atomicfile.Write(c.path, seal(c.salt, file.Out), 0o666); err == nil {
		c.sweep()
	}
}

// current are all facts as they are now.
func (c *cache) current() ([]fact, map[string]mark) {
	list := make([]fact, len(c.list))
	var group errgroup.Group
	parts := runtime.GOMAXPROCS(0)
	for n := range parts {
		group.Go(func() error {
			for i := n; i < len(list); i += parts {
				list[i] = c.now(i)
			}
			return nil
		})
	}
	_ = group.Wait()
	folders := map[string]mark{}
	for _, f := range list {
		if f.under != "" {
			folders[f.under] = c.facts.trusted(f.under)
		}
	}
	return list, folders
}

// now is what is written down for a row.
func (c *cache) now(i int) fact {
	if c.old != nil && i < len(c.old.facts) {
		f := c.old.facts[i]
		holds := c.old.holding == nil || c.old.holding[i]
		switch {
		case holds && (f.quick != mark{} || f.kind == inType && f.seen != "-" || f.under != "" && c.facts.l.tree.mark(f.under) == c.old.folders[f.under]):
			return f
		case !holds && !c.used[i]:
			return fact{} // only what is thrown away was made of it
		}
	}
	return c.facts.fact(c.list[i])
}

const (
	keptFiles = 8       // cache files in a folder
	keptBytes = 1 << 29 // and their size together
)

// sweep removes the oldest files when there are too many, and what killed writers have left.
func (c *cache) sweep() {
	entries, _ := os.ReadDir(c.l.opts.Cache)
	type file struct {
		path string
		info fs.FileInfo
	}
	var files []file
	for _, e := range entries {
		name := e.Name()
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		path := filepath.Join(c.l.opts.Cache, name)
		switch {
		case strings.HasPrefix(name, ".parse-") && time.Since(info.ModTime()) > time.Hour:
			_ = os.Remove(path)
		case strings.HasPrefix(name, "parse-") && strings.HasSuffix(name, ".n3x") && path != c.path:
			files = append(files, file{path, info})
		}
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(b.info.ModTime().UnixNano(), a.info.ModTime().UnixNano()) })
	size := int64(0)
	for i, f := range files {
		if size += f.info.Size(); i+1 >= keptFiles || size > keptBytes {
			_ = os.Remove(f.path)
		}
	}
}
