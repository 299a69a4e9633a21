package recipe

import (
	"cmp"
	"crypto/sha256"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"n3x/internal/atomicfile"
	"n3x/internal/bitbake/datastore"
)

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
