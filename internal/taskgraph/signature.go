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
}

// Input is one thing that a signature depends on.
type Input struct {
	Name   string // e.g. "variable DISTRO_ARCH", "flag do_install[dirs]", "file a.patch", "task a:do_unpack"
	Digest string // of its value, hex
}

// Sign computes the signatures of all tasks from the metadata as it is now, anew when it was called before.
func (g *Graph) Sign(o Options) error {
	s := &signing{o: o, code: newCode(!g.world.Before(2, 10)), places: newPlaces(o.Places), of: map[*recipe.Recipe]*signer{}}
	for _, t := range g.Tasks {
		if err := s.sign(t); err != nil {
			return err
		}
	}
	return nil
}

// signing is what the signatures of one graph share.
type signing struct {
	o      Options
	code   *code
	places *places
	of     map[*recipe.Recipe]*signer
}

// signer knows what the variables of one recipe depend on.
type signer struct {
	d       *datastore.Data
	forced  *datastore.Data // d with BB_HASH_CODEPARSER_VALS; functions are read from it
	code    *code
	places  *places
	ignored map[string]bool // BB_BASEHASH_IGNORE_VARS
	noFlags map[string]bool // BB_SIGNATURE_EXCLUDE_FLAGS
	without *regexp.Regexp  // BB_TASKHASH_IGNORE_TASKS, or nil
	exports []string        // variables in the environment of shell functions, sorted
	known   map[string]*entry
}

func (s *signing) signer(r *recipe.Recipe) (*signer, error) {
	if found := s.of[r]; found != nil {
		return found, nil
	}
	d := r.Data.Copy()
	n := &signer{d: d, forced: d, code: s.code, places: s.places, known: map[string]*entry{}}
	var err error
	if n.ignored, err = set(d, "BB_BASEHASH_IGNORE_VARS"); err != nil {
		return nil, err
	}
	if n.noFlags, err = set(d, "BB_SIGNATURE_EXCLUDE_FLAGS"); err != nil {
		return nil, err
	}
	if err := n.ignoreTasks(); err != nil {
		return nil, err
	}
	if err := n.force(); err != nil {
		return nil, err
	}
	if n.exports, err = exports(d); err != nil {
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

func (s *signer) ignoreTasks() error {
	pattern, err := s.d.Value("BB_TASKHASH_IGNORE_TASKS")
	if err != nil || pattern == "" {
		return err
	}
	if s.without, err = regexp.Compile(pattern); err != nil {
		return diag.Userf(s.d.LastSet("BB_TASKHASH_IGNORE_TASKS"), "BB_TASKHASH_IGNORE_TASKS: %w", err)
	}
	return nil
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
		t.Inputs = append(t.Inputs, Input{kind + name, n.known[name].digest})
	}
	files, err := s.files(t, n)
	if err != nil {
		return err
	}
	t.Inputs = append(t.Inputs, files...)
	for _, d := range t.DependsOn {
		if n.without != nil && !n.without.MatchString(t.Recipe.PN) && n.without.MatchString(d.Recipe.PN) {
			continue
		}
		t.Inputs = append(t.Inputs, Input{"task " + d.Recipe.PN + ":" + d.Name, d.Signature})
	}
	h := sha256.New()
	for _, in := range t.Inputs {
		fmt.Fprintf(h, "%s=%s\n", in.Name, in.Digest)
	}
	t.Signature = hex.EncodeToString(h.Sum(nil))
	return nil
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
		file := w
		if i := strings.LastIndexByte(w, ':'); i > 0 {
			file = w[:i]
		}
		sum, err := s.o.FileDigest(file)
		if err != nil {
			return nil, err
		}
		out = append(out, Input{"file " + path.Base(file), sum})
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
