package recipe

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/pyeval"
)

// described is everything that a world says, as text that can be compared.
func described(t *testing.T, w *World) map[string]string {
	t.Helper()
	all := map[string]string{
		"multiconfigs": fmt.Sprintf("%q", w.Multiconfigs()), "files": fmt.Sprintf("%q", w.Files()), "warnings": fmt.Sprint(w.Warnings()),
		"layerdirs": fmt.Sprintf("%q", w.LayerDirs()),
	}
	for _, l := range w.Layers() {
		l.re = nil
		all["layer "+l.Name] = fmt.Sprintf("%+v", l)
	}
	var includes strings.Builder
	if err := w.WriteIncludes(&includes); err != nil {
		t.Fatal(err)
	}
	all["includes"] = includes.String()
	for _, mc := range w.Multiconfigs() {
		all["masked "+mc] = fmt.Sprint(w.Masked(mc))
		describeAll(all, "base "+mc, w.Base(mc))
		var names []string
		for _, r := range w.Recipes(mc) {
			names = append(names, r.Name())
			plain := *r
			plain.Data, plain.Tasks = nil, nil
			all[r.Name()] = fmt.Sprintf("%#v", plain)
			for _, task := range r.Tasks {
				all[r.Name()+" "+task.Name] = fmt.Sprintf("%#v", *task)
			}
			describeAll(all, r.Name(), r.Data)
			if p, err := w.Provider(mc, r.PN); err == nil {
				all["provider "+mc+" "+r.PN] = p.Name()
			}
		}
		all["recipes "+mc] = fmt.Sprintf("%q", names)
	}
	return all
}

// describeAll adds all variables: value, flags and history.
func describeAll(all map[string]string, prefix string, d *datastore.Data) {
	d = d.Copy()
	for _, name := range d.Keys() {
		raw, ok, err := d.Var(name, false)
		value, _, err2 := d.Var(name, true)
		flags, err3 := d.VarFlags(name)
		all[prefix+" "+name] = fmt.Sprintf("%q %v %v %q %v %v %v %+v", raw, ok, err, value, err2, flags, err3, d.FullHistory(name))
	}
	all[prefix+" keys"] = fmt.Sprintf("%q", d.Keys())
	all[prefix+" tasks"] = fmt.Sprintf("%q", d.Tasks())
	all[prefix+" env"] = fmt.Sprint(d.Environment != nil && len(d.Environment.Keys()) > 0)
}

// age makes all files below root older than what could be changing still.
func age(t *testing.T, root string) {
	t.Helper()
	old := time.Now().Add(-time.Hour)
	err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, old, old)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// caching are the layers and the options of the tests here.
type caching struct {
	t    *testing.T
	root string
	opts Options
	logs []string
	now  time.Time
	said string // by the program that metadata starts
	runs int
}

func newCaching(t *testing.T, files map[string]string) *caching {
	root := writeTree(t, with(files))
	for name, text := range with(files) {
		if err := os.WriteFile(filepath.Join(root, name), []byte(strings.ReplaceAll(text, "@ROOT@", root)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	age(t, root)
	c := &caching{t: t, root: root, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), said: "one"}
	c.opts = Options{
		TopDir: filepath.Join(root, "build"), Cache: filepath.Join(root, "cache"),
		Environ: map[string]string{"HOME": "/home/u", "PATH": "/bin", "UNUSED": "1", "BB_ENV_PASSTHROUGH_ADDITIONS": "USED", "USED": "yes"},
		Python: pyeval.Options{
			Now: func() time.Time { return c.now },
			Log: func(level, text string) { c.logs = append(c.logs, level+": "+text) },
			Run: func(_ context.Context, cmd pyeval.Command) (pyeval.Result, error) {
				c.runs++
				return pyeval.Result{Stdout: []byte(c.said + " " + strings.Join(cmd.Args, " ") + "\n")}, nil
			},
			CPUs: 2, MemPages: 1000,
		},
		Parallel: 1,
	}
	return c
}

// load gives a world, and how many recipe files and configurations were evaluated for it.
func (c *caching) load() (w *World, configs, recipes int) {
	c.t.Helper()
	c.logs = nil
	w, err := Load(context.Background(), c.opts)
	if err != nil {
		c.t.Fatal(err)
	}
	configs, recipes = w.Evaluated()
	return w, configs, recipes
}

// fresh is the world as read without a cache.
func (c *caching) fresh() *World {
	c.t.Helper()
	o := c.opts
	o.Cache = ""
	w, err := Load(context.Background(), o)
	if err != nil {
		c.t.Fatal(err)
	}
	return w
}

func (c *caching) write(name, text string) {
	c.t.Helper()
	path := filepath.Join(c.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// cachingLayer looks at something of every kind.
func cachingLayer() map[string]string {
	return map[string]string{
		"build/conf/local.conf":             "BBMULTICONFIG = \"x\"\nLOCAL = \"1\"\ninclude conf/extra.conf\n",
		"build/conf/multiconfig/x.conf":     "IN_X = \"1\"\n",
		"core/conf/multiconfig/unused.conf": "",
		"core/conf/extra.conf": "PN = \"${@bb.parse.vars_from_file(d.getVar('FILE', False), d)[0]}\"\n" + "DATE := \"${@time.strftime('%Y%m%d', time.gmtime())}\"\nTIME := \"${@time.strftime('%H%M%S', time.gmtime())}\"\n" +
			"DATETIME = \"${DATE}${TIME}\"\ninclude conf/multiconfig/${BB_CURRENT_MC}.conf\n",
		"core/classes/base.bbclass":   "def shout(d, x):\n    return x.upper() + d.getVar('LOCAL')\naddtask build\ndo_build() {\n    :\n}\n",
		"core/classes/noisy.bbclass":  "python () {\n    bb.warn('careful with ' + d.getVar('PN'))\n    bb.plain('hello')\n}\n",
		"core/plain_1.bb":             "A = \"${@shout(d, 'a')}\"\nB = \"${@time.strftime('%H', time.gmtime())}\"\n",
		"core/noisy_1.bb":             "inherit noisy\nA += \"x\"\n",
		"core/env_1.bb":               "A := \"${USED}\"\n",
		"core/osenv_1.bb":             "A := \"${@os.environ.get('USED')}\"\n",
		"core/orig_1.bb":              "A := \"${@d.getVar('BB_ORIGENV').getVar('ORIGINAL')}\"\n",
		"core/content_1.bb":           "A := \"${@open('" + "@ROOT@" + "/data/file').read()}\"\n",
		"core/exists_1.bb":            "A := \"${@os.path.exists('@ROOT@/data/file')} ${@os.path.exists('@ROOT@/data/deep/missing')}\"\n",
		"core/mtime_1.bb":             "A := \"${@int(os.path.getmtime('@ROOT@/data/file'))}\"\n",
		"core/list_1.bb":              "A := \"${@' '.join(os.listdir('@ROOT@/data'))}\"\n",
		"core/hour_1.bb":              "A := \"${@time.strftime('%H', time.gmtime())}\"\n",
		"core/date_1.bb":              "A := \"${DATE}\"\n",
		"core/run_1.bb":               "A := \"${@__import__('subprocess').check_output(['tell', 'me']).decode()}\"\n",
		"core/skip_1.bb":              "python () {\n    raise bb.parse.SkipRecipe('not today')\n}\n",
		"core/include_1.bb":           "include maybe.inc\nBBCLASSEXTEND = \"native\"\n",
		"core/classes/native.bbclass": "NATIVE = \"1\"\n",
		"core/dont_1.bb":              "BB_DONT_CACHE = \"1\"\n",
		"data/file":                   "content",
	}
}

// cachedRecipes is the number of recipe files of cachingLayer, and of minimal.
const cachedRecipes = 16

// TestCacheHitsAndMisses changes one thing of each kind and looks at what is evaluated anew: configurations and recipe files, each
// of which there are twice because of the multiconfig. Whatever it is, the world must be the one that reading everything gives.
func TestCacheHitsAndMisses(t *testing.T) {
	t.Parallel()
	all := 2 * cachedRecipes
	cases := []struct {
		name             string
		change           func(c *caching)
		configs, recipes int
	}{
		{"nothing", func(*caching) {}, 0, 0},
		{"touch a recipe", func(c *caching) { age(c.t, filepath.Join(c.root, "core")) }, 0, 0},
		{"edit a recipe", func(c *caching) { c.write("core/plain_1.bb", "A = \"other\"\n") }, 0, 2},
		{"edit a recipe without changing its size", func(c *caching) { c.write("core/env_1.bb", "B := \"${USED}\"\n") }, 0, 2},
		{"delete a recipe", func(c *caching) { _ = os.Remove(filepath.Join(c.root, "core/plain_1.bb")) }, 2, 0},
		{"add a recipe", func(c *caching) { c.write("core/new_1.bb", "") }, 2, 2},
		{"add an append", func(c *caching) { c.write("core/plain_%.bbappend", "A:append = \"b\"\n") }, 2, 2},
		{"edit a class of all", func(c *caching) {
			c.write("core/classes/base.bbclass", "addtask other\ndef shout(d, x):\n    return x\n")
		}, 2, all},
		{"edit a class of one", func(c *caching) { c.write("core/classes/noisy.bbclass", "NOISE = \"1\"\n") }, 0, 2},
		{"a comment in the configuration's last file", func(c *caching) { c.write("build/conf/multiconfig/x.conf", "IN_X = \"1\"\n# more\n") }, 1, 0},
		{"edit local.conf", func(c *caching) {
			c.write("build/conf/local.conf", "BBMULTICONFIG = \"x\"\nLOCAL = \"2\"\ninclude conf/extra.conf\n")
		}, 2, all},
		{"one multiconfig", func(c *caching) { c.write("build/conf/multiconfig/x.conf", "IN_X = \"2\"\n") }, 1, cachedRecipes},
		{"a file earlier in BBPATH", func(c *caching) { c.write("build/classes/noisy.bbclass", "EARLY = \"1\"\n") }, 0, 2},
		{"an optional include that appears", func(c *caching) { c.write("core/maybe.inc", "MAYBE = \"1\"\n") }, 2, 2},
		{"an unused variable of the environment", func(c *caching) { c.opts.Environ["UNUSED"] = "2" }, 0, 0},
		{"a new variable that metadata does not see", func(c *caching) { c.opts.Environ["NEW"] = "2" }, 0, 0},
		{"a variable that metadata sees and does not use", func(c *caching) { c.opts.Environ["PATH"] = "/other" }, 0, 0},
		{"a variable that metadata uses", func(c *caching) { c.opts.Environ["USED"] = "no" }, 0, 4},
		{"a variable of BB_ORIGENV", func(c *caching) { c.opts.Environ["ORIGINAL"] = "1" }, 0, 2},
		{"a file's content", func(c *caching) { c.write("data/file", "CONTENT"); age(c.t, filepath.Join(c.root, "data")) }, 0, 4},
		{"a file's time", func(c *caching) { touch(c.t, filepath.Join(c.root, "data/file")) }, 0, 2},
		{"a file that was missing", func(c *caching) { c.write("data/deep/missing", "") }, 0, 4},
		{"a new file in a folder", func(c *caching) { c.write("data/second", "") }, 0, 2},
		{"a later second", func(c *caching) { c.now = c.now.Add(time.Second) }, 0, 0},
		{"the next day", func(c *caching) { c.now = c.now.Add(24 * time.Hour) }, 0, 2},
		{"what a program says", func(c *caching) { c.said = "two" }, 0, 2},
		{"an option", func(c *caching) { c.opts.BitBake = "2.8.0" }, 2, all},
		{"an overlay", func(c *caching) {
			c.opts.Overlays = []Overlay{{Path: filepath.Join(c.root, "data"), FS: fstest.MapFS{"file": {Data: []byte("over")}}}}
		}, 2, all},
	}
	for _, one := range cases {
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			c := newCaching(t, cachingLayer())
			first, configs, recipes := c.load()
			logs := c.logs
			if configs != 2 || recipes != all {
				t.Fatalf("%d configurations and %d recipe files to begin with", configs, recipes)
			}
			if diff := cmp.Diff(described(t, c.fresh()), described(t, first)); diff != "" {
				t.Fatal(diff)
			}
			// What reads the clock at once is evaluated each time.
			second, configs, recipes := c.load()
			again := c.logs
			if configs != 0 || recipes != 4 {
				t.Errorf("%d configurations and %d recipe files without a change", configs, recipes)
			}
			if !slices.Equal(slices.Sorted(slices.Values(logs)), slices.Sorted(slices.Values(again))) {
				t.Errorf("messages were %q, now %q", logs, again)
			}
			if diff := cmp.Diff(described(t, first), described(t, second)); diff != "" {
				t.Error(diff)
			}
			one.change(c)
			w, configs, recipes := c.load()
			hour := 4 // what reads the clock at once, and what must not be kept
			if one.recipes == all || one.recipes == cachedRecipes {
				hour = 0
			}
			if one.name == "one multiconfig" {
				hour = 2
			}
			if configs != one.configs || recipes != one.recipes+hour {
				t.Errorf("%d configurations and %d recipe files were evaluated, want %d and %d", configs, recipes, one.configs, one.recipes+hour)
			}
			if diff := cmp.Diff(described(t, c.fresh()), described(t, w)); diff != "" {
				t.Error(diff)
			}
			w, configs, _ = c.load()
			if diff := cmp.Diff(described(t, c.fresh()), described(t, w)); diff != "" || configs > 0 {
				t.Errorf("%d configurations in the end\n%s", configs, diff)
			}
		})
	}
}

func touch(t *testing.T, path string) {
	t.Helper()
	when := time.Now().Add(-time.Minute)
	if err := os.Chtimes(path, when, when); err != nil {
		t.Fatal(err)
	}
}

// quiet is cachingLayer without the recipe that reads the clock.
func quiet() map[string]string {
	files := cachingLayer()
	delete(files, "core/hour_1.bb")
	delete(files, "core/dont_1.bb")
	return files
}

// TestCacheReadsNoFile checks that no file is parsed when nothing has changed.
func TestCacheReadsNoFile(t *testing.T) {
	t.Parallel()
	c := newCaching(t, quiet())
	c.load()
	w, configs, recipes := c.load()
	if configs+recipes != 0 {
		t.Errorf("%d configurations, %d recipe files", configs, recipes)
	}
	w.loader.tree.parsed.Range(func(path, _ any) bool { t.Errorf("%s was parsed", path); return true })
	w.loader.tree.sums.Range(func(path, _ any) bool { t.Errorf("%s was read", path); return true })
	if diff := cmp.Diff(described(t, c.fresh()), described(t, w)); diff != "" {
		t.Error(diff)
	}
}

// TestYoungFiles changes a file's content but neither its size nor its time, as can happen within one tick of the clock.
func TestYoungFiles(t *testing.T) {
	t.Parallel()
	c := newCaching(t, quiet())
	path := filepath.Join(c.root, "core/plain_1.bb")
	now := time.Now()
	set := func(text string) {
		c.write("core/plain_1.bb", text)
		if err := os.Chtimes(path, now, now); err != nil {
			t.Fatal(err)
		}
	}
	set("A = \"1\"\n")
	c.load()
	set("A = \"2\"\n")
	if _, _, n := c.load(); n != 2 {
		t.Errorf("%d recipe files were evaluated, want 2", n)
	}
}

// TestDamagedCache cuts the file and changes bytes of it: then it is as if there were none.
func TestDamagedCache(t *testing.T) {
	t.Parallel()
	c := newCaching(t, quiet())
	c.load()
	files, err := filepath.Glob(filepath.Join(c.opts.Cache, "parse-*.n3x"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	good, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	want := described(t, c.fresh())
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := range 40 {
		bad := slices.Clone(good)
		switch {
		case i == 0:
			bad = nil
		case i < 20:
			bad = bad[:rnd.IntN(len(bad))]
		default:
			bad[rnd.IntN(len(bad))] ^= byte(1 + rnd.IntN(255))
		}
		if err := os.WriteFile(files[0], bad, 0o644); err != nil {
			t.Fatal(err)
		}
		w, configs, _ := c.load()
		if configs != 2 {
			t.Errorf("%d: the damage was not seen", i)
		}
		if i%20 == 0 {
			if diff := cmp.Diff(want, described(t, w)); diff != "" {
				t.Error(diff)
			}
		}
	}
	if _, configs, recipes := c.load(); configs+recipes > 0 {
		t.Error("the file was not repaired")
	}
}

// TestConcurrentCaches loads in several goroutines at once, while recipes change, and leaves what a killed writer leaves.
func TestConcurrentCaches(t *testing.T) {
	t.Parallel()
	c := newCaching(t, quiet())
	c.opts.Python.Log, c.opts.Python.Run = nil, func(context.Context, pyeval.Command) (pyeval.Result, error) { return pyeval.Result{}, nil }
	left := filepath.Join(c.opts.Cache, ".parse-0123.n3x.tmp-1")
	c.write("cache/.parse-0123.n3x.tmp-1", "half")
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(left, old, old); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for i := range 6 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for range 3 {
				o := c.opts
				o.Environ = maps.Clone(o.Environ)
				o.Environ["USED"] = fmt.Sprint(i % 2)
				w, err := Load(context.Background(), o)
				if err != nil {
					t.Error(err)
					return
				}
				for _, r := range w.Recipes("x") {
					if v, err := r.Data.Value("A"); r.PN == "env" && (v != fmt.Sprint(i%2) || err != nil) {
						t.Errorf("A = %q, %v in load %d", v, err, i)
					}
				}
			}
		}()
	}
	wait.Wait()
	if _, err := os.Stat(left); err == nil {
		t.Error("the unfinished file of a killed writer is still there")
	}
}

// TestCacheBounded checks that files which nobody uses go.
func TestCacheBounded(t *testing.T) {
	t.Parallel()
	c := newCaching(t, nil)
	for i := range keptFiles + 3 {
		c.opts.Python.CPUs = i + 1
		c.load()
	}
	if files, _ := filepath.Glob(filepath.Join(c.opts.Cache, "*")); len(files) != keptFiles {
		t.Errorf("%d files, want %d", len(files), keptFiles)
	}
}

// TestEveryFieldIsCached fails when a field is added to what is written into the cache and not dealt with there.
func TestEveryFieldIsCached(t *testing.T) {
	t.Parallel()
	for typ, n := range map[reflect.Type]int{
		reflect.TypeFor[Recipe](): 24, reflect.TypeFor[Task](): 3, reflect.TypeFor[state](): 11, reflect.TypeFor[anonymous](): 3,
		reflect.TypeFor[handler](): 2, reflect.TypeFor[deferredInherit](): 2, reflect.TypeFor[inclusion](): 2, reflect.TypeFor[pyeval.PyLib](): 2,
		reflect.TypeFor[Layer](): 5, reflect.TypeFor[message](): 3, reflect.TypeFor[recipeAppend](): 2, reflect.TypeFor[evaluator](): 8,
		reflect.TypeFor[World](): 10, reflect.TypeFor[mention](): 2, reflect.TypeFor[pyeval.Def](): 2,
	} {
		if typ.NumField() != n {
			t.Errorf("%s has %d fields, and %d are known to the cache: write the new one in encode.go and cache.go, then correct this number", typ, typ.NumField(), n)
		}
	}
}

// TestCachedCorpora loads the recorded build directories twice and compares.
func TestCachedCorpora(t *testing.T) {
	t.Parallel()
	root, cases := unpack(t, "testdata/world.txtar")
	for _, name := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := Options{TopDir: filepath.Join(root, name, "build"), Cache: t.TempDir()}
			first, before := Load(context.Background(), o)
			second, err := Load(context.Background(), o)
			if fmt.Sprint(before) != fmt.Sprint(err) {
				t.Fatalf("error is %v, and was %v without a cache", err, before)
			}
			if err != nil { // what is wrong is looked at anew each time
				return
			}
			if configs, _ := second.Evaluated(); configs > 0 {
				t.Errorf("%d configurations were evaluated again", configs)
			}
			if diff := cmp.Diff(described(t, first), described(t, second)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// FuzzStored feeds bytes that no cache wrote, past the checksum: they give an error or something that can be looked at.
func FuzzStored(f *testing.F) {
	e := newEncoder(nil)
	w := e.writer()
	w.Bool(true)
	w.Number(1)
	w.fact(fact{input: input{inContent, "/a"}, seen: "sum", quick: mark{1, 2, 3, 4, false}})
	w.Number(0)
	for range 2 { // sets and libraries
		w.Number(1)
		w.Bytes([]byte{1, 0})
	}
	w.Map(map[string]string{"re": "re"})
	w.Number(1)
	w.config(&storedConfig{live: map[string]datastore.Live{"HOME": {Source: "HOME"}}, recipes: []storedRecipe{{file: "/a_1.bb", data: []byte{0, 0, 1}}}})
	strings, variables := e.Pools()
	file := datastore.Writer{}
	file.Bytes(strings)
	file.Bytes(variables)
	file.Bytes(w.Out)
	file.Int(1)
	if s, err := readStored(file.Out); err != nil || len(s.configs) != 1 || len(s.facts) != 1 {
		f.Fatal(s, err)
	}
	f.Add(file.Out)
	f.Add([]byte{})
	l := &loader{shared: &shared{warnings: &warnings{}, log: func(string, string) {}}, background: context.Background()}
	f.Fuzz(func(t *testing.T, content []byte) {
		s, err := readStored(content)
		if err != nil {
			return
		}
		for i := range s.sets {
			s.members(i)
		}
		for i := range s.libs {
			_, _ = s.library(uint64(i) + 1)
		}
		c := &cache{l: l, old: s}
		base := datastore.New()
		base.Freeze()
		for _, entry := range s.configs {
			conf := &config{base: l.evaluatorOf(base, state{})}
			for i := range entry.recipes {
				c.recipes(&World{loader: l}, conf, entry.mc, &entry.recipes[i])
			}
		}
	})
}
