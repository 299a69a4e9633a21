package taskgraph

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/recipe"
	"n3x/internal/diag"
)

// Options gives signatures what lies outside the metadata.
type Options struct {
	// FileDigest identifies a file's or folder's content, "" when it does not exist. nil leaves contents out.
	FileDigest func(path string) (string, error)
	// Places names folders whose path must not count, e.g. "/home/me/project/meta-x" as "LAYERDIR_x".
	Places map[string]string
	// Passing are variables that tell of the world outside as it is today, e.g. of what package archives hold; see steadyFlag.
	Passing []string
	// Taint is what was put into a task's signature to make it run again (bitbake -f, -C), "" for nothing; nil leaves it out.
	Taint func(*Task) (string, error)
}

// Input is one thing that a signature depends on.
type Input struct {
	Name   string // e.g. "variable DISTRO_ARCH", "flag do_install[dirs]", "file a.patch", "task a:do_unpack"
	Digest string // of its value, hex
	Text   string // the value itself, of variables and flags
}

// Sign computes the signatures of all tasks from the metadata as it is now, anew when it was called before.
func (g *Graph) Sign(o Options) error {
	s, err := newSigning(g.world, o)
	if err != nil {
		return err
	}
	for _, t := range g.Tasks {
		if err := s.sign(t); err != nil {
			return err
		}
	}
	return nil
}

// signing is what the signatures of one graph share.
type signing struct {
	o       Options
	code    *code
	places  *places
	of      map[*recipe.Recipe]*signer
	ignored map[string]bool // BB_BASEHASH_IGNORE_VARS of the default configuration: those of recipes do not count
	without *regexp.Regexp  // BB_TASKHASH_IGNORE_TASKS likewise, or nil
	loose   bool            // the flags to leave out are looked for as parts of the whole list's text (until 2.8)
}

func newSigning(w World, o Options) (*signing, error) {
	s := &signing{o: o, code: newCode(!w.Before(2, 10)), places: newPlaces(o.Places), of: map[*recipe.Recipe]*signer{}, loose: w.Before(2, 9)}
	base := w.Base("")
	var err error
	if s.ignored, err = set(base, "BB_BASEHASH_IGNORE_VARS"); err != nil {
		return nil, err
	}
	pattern, err := base.Value("BB_TASKHASH_IGNORE_TASKS")
	if err != nil || pattern == "" {
		return s, err
	}
	if s.without, err = regexp.Compile(pattern); err != nil {
		return nil, diag.Userf(base.LastSet("BB_TASKHASH_IGNORE_TASKS"), "BB_TASKHASH_IGNORE_TASKS: %w", err)
	}
	return s, nil
}

// signer knows what the variables of one recipe depend on.
type signer struct {
	d        *datastore.Data
	forced   *datastore.Data // d with BB_HASH_CODEPARSER_VALS; functions are read from it
	code     *code
	places   *places
	ignored  map[string]bool
	loose    bool
	flagList string          // BB_SIGNATURE_EXCLUDE_FLAGS
	noFlags  []string        // its words
	keys     map[string]bool // all variables
	exports  []string        // variables in the environment of shell functions, sorted
	known    map[string]*entry
}

func (s *signing) signer(r *recipe.Recipe) (*signer, error) {
	if found := s.of[r]; found != nil {
		return found, nil
	}
	d := r.Data.Copy()
	n := &signer{d: d, forced: d, code: s.code, places: s.places, ignored: s.ignored, loose: s.loose, known: map[string]*entry{}}
	var err error
	if n.flagList, err = d.Value("BB_SIGNATURE_EXCLUDE_FLAGS"); err != nil {
		return nil, err
	}
	n.noFlags = strings.FieldsFunc(n.flagList, datastore.IsSpace)
	if err := n.force(); err != nil {
		return nil, err
	}
	n.keys = map[string]bool{}
	names := d.Keys()
	for _, name := range names {
		n.keys[name] = true
	}
	if n.exports, err = exports(d, names); err != nil {
		return nil, err
	}
	s.of[r] = n
	return n, nil
}

func set(d *datastore.Data, name string) (map[string]bool, error) {
	words, err := d.Words(name)
	out := make(map[string]bool, len(words))
	for _, w := range words {
		out[w] = true
	}
	return out, err
}

// force makes the store from which functions are read.
func (s *signer) force() error {
	words, err := s.d.Words("BB_HASH_CODEPARSER_VALS")
	if err != nil || len(words) == 0 {
		return err
	}
	s.forced = s.d.Copy()
	for _, w := range words {
		name, value, ok := strings.Cut(w, "=")
		if !ok {
			return diag.Userf(s.d.LastSet("BB_HASH_CODEPARSER_VALS"), "BB_HASH_CODEPARSER_VALS has %q, which is not NAME=value", w)
		}
		if err := s.forced.SetVar(name, value); err != nil {
			return err
		}
	}
	return nil
}

// sign computes a task's signature from the variables that its function leads to, the files that it names, and the
// signatures of the tasks that it depends on.
func (s *signing) sign(t *Task) error {
	n, err := s.signer(t.Recipe)
	if err != nil {
		return err
	}
	names, err := n.closure(t.Name)
	if err != nil {
		return err
	}
	t.Inputs = make([]Input, 0, len(names)+len(t.DependsOn))
	for _, name := range names {
		kind := "variable "
		if strings.HasSuffix(name, "]") {
			kind = "flag "
		}
		e := n.known[name]
		t.Inputs = append(t.Inputs, Input{Name: kind + name, Digest: e.digest, Text: e.text})
	}
	files, err := s.files(t, n)
	if err != nil {
		return err
	}
	t.Inputs = append(t.Inputs, files...)
	for _, d := range t.DependsOn {
		if s.without != nil && !s.without.MatchString(t.Recipe.PN) && s.without.MatchString(d.Recipe.PN) {
			continue
		}
		t.Inputs = append(t.Inputs, Input{Name: "task " + d.qualified() + ":" + d.Name, Digest: d.Signature})
	}
	if _, ok := t.Recipe.Task(t.Name).Flags["nostamp"]; ok {
		t.Inputs = append(t.Inputs, Input{Name: "nostamp", Digest: "always"})
	}
	if s.o.Taint != nil {
		taint, err := s.o.Taint(t)
		if err != nil {
			return err
		}
		if taint != "" {
			t.Inputs = append(t.Inputs, Input{Name: "taint", Digest: taint})
		}
	}
	t.Signature = hashOf(t.Inputs)
	t.steady = s.steady(t)
	if v, ok := t.Recipe.Task(t.Name).Flags[steadyFlag]; ok && v != "" && v != "0" {
		t.Signature = t.steady
	}
	return nil
}

// steadyFlag, when it is set, makes the signature of a task one that passing things do not change; with it, what depends
// on the task does not run again because of them.
const steadyFlag = "n3x-steady"

// steady is the signature of a task without the variables that tell of passing things, neither its own nor those of the
// tasks that it depends on.
func (s *signing) steady(t *Task) string {
	if len(s.o.Passing) == 0 {
		return t.Signature
	}
	byName := map[string]string{}
	for _, d := range t.DependsOn {
		byName["task "+d.qualified()+":"+d.Name] = d.steady
	}
	inputs := make([]Input, 0, len(t.Inputs))
	for _, in := range t.Inputs {
		if name, ok := strings.CutPrefix(in.Name, "variable "); ok && slices.Contains(s.o.Passing, name) {
			continue
		}
		if steady, ok := byName[in.Name]; ok {
			in.Digest = steady
		}
		inputs = append(inputs, in)
	}
	return hashOf(inputs)
}

// hashOf is the signature that inputs make. Files and tasks count by what is in them, not by their names.
func hashOf(inputs []Input) string {
	h := sha256.New()
	for _, in := range inputs {
		name := in.Name
		if strings.HasPrefix(name, "file ") || strings.HasPrefix(name, "task ") {
			name = name[:5]
		}
		fmt.Fprintf(h, "%s=%s\n", name, in.Digest)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// closure are the variables that name leads to, itself included, sorted.
func (s *signer) closure(name string) ([]string, error) {
	seen := map[string]bool{name: true}
	queue := []string{name}
	for i := 0; i < len(queue); i++ {
		e, err := s.entry(queue[i])
		if err != nil {
			return nil, err
		}
		for _, dep := range e.deps {
			if !seen[dep] {
				seen[dep] = true
				queue = append(queue, dep)
			}
		}
	}
	slices.Sort(queue)
	return queue, nil
}

// files are those of [file-checksums] = "path:True ...", under the last part of their names: where they lie does not count.
func (s *signing) files(t *Task, n *signer) ([]Input, error) {
	if s.o.FileDigest == nil {
		return nil, nil
	}
	v, _, err := n.d.VarFlag(t.Name, "file-checksums", true)
	if err != nil {
		return nil, err
	}
	var out []Input
	for _, w := range strings.FieldsFunc(v, datastore.IsSpace) {
		file, exists, ok := strings.Cut(w, ":")
		if !ok {
			return nil, diag.Userf(n.d.LastSet(t.Name), "%s[file-checksums] of %s has %q, which is not path:True or path:False", t.Name, t.Recipe.PN, w)
		}
		if exists == "False" {
			continue
		}
		sum, err := s.o.FileDigest(file)
		if err != nil {
			return nil, err
		}
		out = append(out, Input{Name: "file " + path.Base(file), Digest: sum})
	}
	slices.SortFunc(out, func(a, b Input) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Digest, b.Digest))
	})
	return out, nil
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// places takes paths out of values, so that these are the same wherever a build lies.
type places struct {
	paths []string // longest first
	names map[string]string
}

func newPlaces(names map[string]string) *places {
	p := &places{names: map[string]string{}}
	for dir, name := range names {
		if dir = strings.TrimRight(dir, "/"); len(dir) > 1 {
			p.names[dir] = "${" + name + "}"
		}
	}
	p.paths = slices.SortedFunc(maps.Keys(p.names), func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	return p
}

// replace names the places in text, where they are whole path elements.
func (p *places) replace(text string) string {
	if !strings.Contains(text, "/") {
		return text
	}
	for _, dir := range p.paths {
		if !strings.Contains(text, dir) {
			continue
		}
		var out strings.Builder
		for {
			i := strings.Index(text, dir)
			if i < 0 {
				break
			}
			end := i + len(dir)
			out.WriteString(text[:i])
			if i > 0 && pathByte(text[i-1]) || end < len(text) && text[end] != '/' && pathByte(text[end]) {
				out.WriteString(dir)
			} else {
				out.WriteString(p.names[dir])
			}
			text = text[end:]
		}
		text = out.String() + text
	}
	return text
}

func pathByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c >= 0x80:
		return true
	}
	return strings.IndexByte("/._-+~", c) >= 0
}
