package taskgraph

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/recipe"
)

// Input is one thing that a signature depends on.
type Input struct {
	Name   string // e.g. "variable DISTRO_ARCH", "flag do_install[dirs]", "file a.patch", "task /l/a_1.bb:do_unpack"
	Digest string // of its value, hex
}

// signer knows what the variables of one recipe depend on.
type signer struct {
	d       *datastore.Data
	ignored map[string]bool
	noFlags map[string]bool
	names   map[string]bool // every variable
	known   map[string]*entry
}

// entry is a variable as signatures see it: its text before expansion, and the variables that it leads to.
type entry struct {
	text  string
	deps  []string
	flags []Input
}

func (b *builder) signer(r *recipe.Recipe) (*signer, error) {
	if s := b.sigs[r]; s != nil {
		return s, nil
	}
	s := &signer{d: r.Data.Copy(), names: map[string]bool{}, known: map[string]*entry{}}
	var err error
	if s.ignored, err = s.set("BB_BASEHASH_IGNORE_VARS"); err != nil {
		return nil, err
	}
	if s.noFlags, err = s.set("BB_SIGNATURE_EXCLUDE_FLAGS"); err != nil {
		return nil, err
	}
	keys := s.d.Keys()
	for _, k := range keys {
		s.names[k] = true
	}
	b.sigs[r] = s
	return s, nil
}

func (s *signer) set(name string) (map[string]bool, error) {
	words, err := s.d.Words(name)
	out := make(map[string]bool, len(words))
	for _, w := range words {
		out[w] = true
	}
	return out, err
}

// sign computes a task's signature from the variables that its function leads to, the files that it names, and the
// signatures of the tasks that it depends on.
func (b *builder) sign(t *Task) error {
	s, err := b.signer(t.Recipe)
	if err != nil {
		return err
	}
	excluded, err := s.flagWords(t.Name, "vardepsexclude")
	if err != nil {
		return err
	}
	seen := map[string]bool{t.Name: true}
	queue := []string{t.Name}
	for i := 0; i < len(queue); i++ {
		e, err := s.entry(queue[i])
		if err != nil {
			return err
		}
		for _, dep := range e.deps {
			if !seen[dep] && !s.ignored[dep] && !slices.Contains(excluded, dep) {
				seen[dep] = true
				queue = append(queue, dep)
			}
		}
	}
	slices.Sort(queue)
	for _, name := range queue {
		e := s.known[name]
		t.Inputs = append(t.Inputs, Input{"variable " + name, digest(e.text)})
		t.Inputs = append(t.Inputs, e.flags...)
	}
	if err := b.fileInputs(t, s); err != nil {
		return err
	}
	for _, d := range t.DependsOn {
		t.Inputs = append(t.Inputs, Input{"task " + d.Recipe.PN + ":" + d.Name, d.Signature})
	}
	h := sha256.New()
	for _, in := range t.Inputs {
		fmt.Fprintf(h, "%s=%s\n", in.Name, in.Digest)
	}
	t.Signature = hex.EncodeToString(h.Sum(nil))
	return nil
}

// fileInputs adds the files of [file-checksums] = "path:True ...".
func (b *builder) fileInputs(t *Task, s *signer) error {
	if b.o.FileDigest == nil {
		return nil
	}
	words, err := s.flagWords(t.Name, "file-checksums")
	if err != nil {
		return err
	}
	for _, w := range words {
		path := w
		if i := strings.LastIndex(w, ":"); i > 0 {
			path = w[:i]
		}
		sum, err := b.o.FileDigest(path)
		if err != nil {
			return err
		}
		// Named by the last part only: where a checkout lies does not count.
		t.Inputs = append(t.Inputs, Input{"file " + path[strings.LastIndex(path, "/")+1:], sum})
	}
	return nil
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func (s *signer) flagWords(name, flag string) ([]string, error) {
	v, _, err := s.d.VarFlag(name, flag, true)
	return strings.Fields(v), err
}

// entry is what a signature says of a variable; computed once for each recipe.
func (s *signer) entry(name string) (*entry, error) {
	if e := s.known[name]; e != nil {
		return e, nil
	}
	e := &entry{}
	s.known[name] = e
	flags, err := s.d.VarFlags(name)
	if err != nil {
		return nil, err
	}
	if v, fixed := flags["vardepvalue"]; fixed {
		e.text, err = s.d.Expand(v)
		return e, err
	}
	text, _, err := s.d.Var(name, false)
	if err != nil {
		return nil, err
	}
	e.text = text
	found := map[string]bool{}
	if err := s.scan(name, text, flags, found); err != nil {
		return nil, err
	}
	if err := s.scanFlags(name, flags, e, found); err != nil {
		return nil, err
	}
	more, err := s.flagWords(name, "vardeps")
	if err != nil {
		return nil, err
	}
	for _, w := range more {
		found[w] = true
	}
	less, err := s.flagWords(name, "vardepsexclude")
	if err != nil {
		return nil, err
	}
	for _, w := range less {
		delete(found, w)
	}
	delete(found, name)
	for dep := range found {
		e.deps = append(e.deps, dep)
	}
	slices.Sort(e.deps)
	return e, nil
}

// scanFlags adds a task's own flags, such as [dirs] and [network]: they change what is done.
func (s *signer) scanFlags(name string, flags map[string]string, e *entry, found map[string]bool) error {
	if _, isFunc := flags["func"]; !isFunc {
		return nil
	}
	var names []string
	for f := range flags {
		if !s.noFlags[f] && !strings.HasPrefix(f, "_") && f != "func" {
			names = append(names, f)
		}
	}
	slices.Sort(names)
	for _, f := range names {
		e.flags = append(e.flags, Input{"flag " + name + "[" + f + "]", digest(flags[f])})
		trace, err := s.d.Trace(flags[f], name+"["+f+"]")
		if err != nil {
			return err
		}
		for _, r := range trace.References {
			found[r] = true
		}
	}
	return nil
}

var (
	pythonReads = regexp.MustCompile(`(?:getVar|getVarFlag|contains|contains_any|filter|contains_any|isar_multiarch_packages|deb_list_beautify)\(\s*["']([^"'$]+)["']`)
	word        = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_-]*`)
)

// scan finds what a text refers to: ${...}, what its inline Python reads, and, in a function, the functions that it calls.
func (s *signer) scan(name, text string, flags map[string]string, found map[string]bool) error {
	_, isFunc := flags["func"]
	_, isPython := flags["python"]
	if isPython {
		s.scanPython(text, found)
		return nil
	}
	trace, err := s.d.Trace(text, name)
	if err != nil {
		return err
	}
	for _, r := range trace.References {
		found[r] = true
	}
	for _, p := range trace.Python {
		s.scanPython(p, found)
	}
	if !isFunc {
		return nil
	}
	for _, w := range word.FindAllString(trace.Text, -1) {
		if !s.names[w] || found[w] {
			continue
		}
		if _, called, err := s.d.VarFlag(w, "func", false); err != nil {
			return err
		} else if called {
			found[w] = true
		}
	}
	return nil
}

func (s *signer) scanPython(code string, found map[string]bool) {
	for _, m := range pythonReads.FindAllStringSubmatch(code, -1) {
		found[m[1]] = true
	}
	for _, w := range word.FindAllString(code, -1) {
		if s.names[w] {
			if _, called, err := s.d.VarFlag(w, "func", false); err == nil && called {
				found[w] = true
			}
		}
	}
}
