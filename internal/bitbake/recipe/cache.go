package recipe

import (
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

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
