// Package tools is the tools tree: Debian packages whose programs a build runs (mke2fs, mtools, grub-mkimage, ...),
// unpacked into folders that are stacked below a sandbox's root.
//
// Input is a list of package names; output is the folders that hold these packages and all they need, from the archive
// of an [apt.Client] and for the architecture of this machine. The packages are unpacked, not configured: programs run
// without it, and the few files that maintainer scripts would have made are made here (see finish.go). A set of
// packages, once resolved, stays as it is until the cache is removed or [Options.Refresh] is set, so that a build does
// not change when Debian does, and needs neither network nor indices when the tree is there.
//
// One folder holds a whole set: overlayfs looks through all its layers for every name, and one page of mount options
// ends at about forty of them. Packages are unpacked once each, and the folder of a set consists of hard links to them.
//
// It must run inside sandbox.Enter, since unpacking sets owners. It refuses what Debian does not have, with the
// solver's reasons.
package tools

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"n3x/internal/arch"
	"n3x/internal/atomicfile"
	"n3x/internal/debian"
	"n3x/internal/debian/apt"
	"n3x/internal/debian/solve"
	"n3x/internal/diag"
	"n3x/internal/progress"
	"n3x/internal/sandbox"
)

// Options say where the tools come from and where they are kept.
type Options struct {
	Client *apt.Client
	Arch   arch.Arch // "" = this machine's
	Dir    string    // cache folder, e.g. <sstate>/n3x/tools

	// State gives the packages on offer, e.g. those of a lock file; nil = those of the last update, or of a new one.
	State   func(context.Context) (*apt.State, error)
	StateID string // identifies State; needed with it

	Refresh  bool // resolve anew what was resolved before
	Progress *progress.Stream
}

// Provider makes tools trees. It may be used by several goroutines.
type Provider struct {
	o Options

	mu       sync.Mutex
	sets     map[string]*set // by key of the set
	state    *apt.State
	universe *solve.Universe
	unpacks  chan struct{} // one item for each package being unpacked
	packages sync.Map      // SHA-256 -> *sync.Mutex
}

// set is one list of package names, made at most once by a process.
type set struct {
	mu   sync.Mutex
	tree string
}

// recipe is part of every key: it changes when trees are made in another way.
const recipe = "n3x tools 1"

// New checks the options.
func New(o Options) (*Provider, error) {
	if o.Client == nil || o.Dir == "" || (o.State == nil) != (o.StateID == "") {
		return nil, errors.New("BUG: tools.Options are incomplete")
	}
	if o.Arch == "" {
		o.Arch = arch.Host()
	}
	if !o.Arch.Known() {
		return nil, diag.Userf(diag.Pos{}, "no tools for machines of architecture %s", o.Arch)
	}
	return &Provider{o: o, sets: make(map[string]*set), unpacks: make(chan struct{}, parallelUnpacks())}, nil
}

// Client is the client of the archive that the tools come from.
func (p *Provider) Client() *apt.Client { return p.o.Client }

// Layers gives the folders, bottom first, that hold the named packages (name, or name=version) and all they need,
// besides Debian's essential packages, which are always there.
func (p *Provider) Layers(ctx context.Context, packages ...string) ([]string, error) {
	names := slices.Clone(packages)
	slices.Sort(names)
	names = slices.Compact(names)
	key := p.setKey(names)
	p.mu.Lock()
	s := p.sets[key]
	if s == nil {
		s = new(set)
		p.sets[key] = s
	}
	p.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tree == "" {
		tree, err := p.provide(ctx, key, names)
		if err != nil {
			return nil, err
		}
		s.tree = tree
	}
	return []string{s.tree}, nil
}

// Tree is Layers for programs that read the versions of the packages in the one folder, by name.
func (p *Provider) Tree(ctx context.Context, packages ...string) (dir string, versions map[string]string, err error) {
	layers, err := p.Layers(ctx, packages...)
	if err != nil {
		return "", nil, err
	}
	names := slices.Clone(packages)
	slices.Sort(names)
	r, err := p.readSet(p.setKey(slices.Compact(names)))
	if err != nil {
		return "", nil, err
	}
	versions = make(map[string]string)
	for _, id := range r.Packages {
		name, version, _ := strings.Cut(id, "=")
		name, _, _ = strings.Cut(name, ":")
		versions[name] = version
	}
	return layers[0], versions, nil
}

// Find gives the folder of a set that was made before, "" when there is none. It needs no sandbox.
func (p *Provider) Find(packages ...string) string {
	names := slices.Clone(packages)
	slices.Sort(names)
	return p.find(p.setKey(slices.Compact(names)))
}

func (p *Provider) find(key string) string {
	r, err := p.readSet(key)
	if err != nil || !isDir(p.treeDir(r.Tree)) {
		return ""
	}
	return p.treeDir(r.Tree)
}

// provide finds or makes the tree of a set.
func (p *Provider) provide(ctx context.Context, key string, names []string) (string, error) {
	if !p.o.Refresh {
		if tree := p.find(key); tree != "" {
			return tree, nil
		}
	}
	task := p.o.Progress.Task("tools")
	task.Step("preparing " + strings.Join(names, " "))
	tree, err := p.build(ctx, key, names, task)
	task.End(err)
	return tree, err
}

func (p *Provider) build(ctx context.Context, key string, names []string, task *progress.Task) (string, error) {
	packages, err := p.resolve(ctx, names, false, task)
	if err != nil {
		return "", err
	}
	tree, err := p.makeTree(ctx, packages, task)
	if errors.Is(err, apt.ErrMissing) {
		// The last update is older than what the mirror still has.
		if packages, err = p.resolve(ctx, names, true, task); err != nil {
			return "", err
		}
		tree, err = p.makeTree(ctx, packages, task)
	}
	if err != nil {
		return "", fmt.Errorf("prepare the tools tree: %w", err)
	}
	return p.treeDir(tree), p.writeSet(key, tree, names, packages)
}

// Packages are what the tree of the named packages consists of, sorted by name, for a plan to be shown.
func (p *Provider) Packages(ctx context.Context, names ...string) ([]*debian.Package, error) {
	return p.resolve(ctx, names, false, nil)
}

// resolve computes the closure. With fresh, the archive is asked for changes first.
func (p *Provider) resolve(ctx context.Context, names []string, fresh bool, task *progress.Task) ([]*debian.Package, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.universe == nil || fresh && p.o.State == nil {
		state, err := p.open(ctx, fresh, task)
		if err != nil {
			return nil, fmt.Errorf("prepare the tools tree: %w", err)
		}
		p.state = state
		p.universe = solve.NewUniverse(solve.Request{Packages: state.Packages, Arch: p.o.Arch})
	}
	words := slices.Clone(names)
	for _, e := range solve.Essential(p.state.Packages, p.o.Arch) {
		if !slices.ContainsFunc(names, func(n string) bool { return n == e.Name || strings.HasPrefix(n, e.Name+"=") }) {
			words = append(words, e.Name)
		}
	}
	plan, err := p.universe.Solve(words...)
	if err != nil {
		return nil, fmt.Errorf("prepare the tools tree with %s: %w", strings.Join(names, " "), err)
	}
	return plan.Install, nil
}

// open reads the indices. A build that has none yet, or wants news, asks the archive.
func (p *Provider) open(ctx context.Context, fresh bool, task *progress.Task) (*apt.State, error) {
	if p.o.State != nil {
		return p.o.State(ctx)
	}
	if !fresh && !p.o.Refresh {
		if state, err := p.o.Client.Load(ctx); err == nil {
			return state, nil
		}
	}
	return p.o.Client.Update(ctx, task)
}

// resolved is what is remembered of a set; the file is there to be read by people, too.
type resolved struct {
	Tree     string   // key of the tree
	Names    []string // what was asked for
	Packages []string // name:arch=version of all that it holds
}

func (p *Provider) setKey(names []string) string {
	id := p.o.StateID
	if id == "" {
		id = p.o.Client.ID()
	}
	return digest(append([]string{recipe, string(p.o.Arch), id}, names...))
}

func digest(parts []string) string {
	h := sha256.New()
	for _, s := range parts {
		fmt.Fprintf(h, "%q\n", s)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (p *Provider) setFile(key string) string { return filepath.Join(p.o.Dir, "sets", key+".json") }
func (p *Provider) treeDir(key string) string { return filepath.Join(p.o.Dir, "trees", key) }

func (p *Provider) readSet(key string) (r resolved, err error) {
	data, err := os.ReadFile(p.setFile(key))
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err == nil && r.Tree == "" {
		err = errors.New("no tree")
	}
	return r, err
}

func (p *Provider) writeSet(key, tree string, names []string, packages []*debian.Package) error {
	r := resolved{Tree: tree, Names: names}
	for _, q := range packages {
		r.Packages = append(r.Packages, q.ID())
	}
	data, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return atomicfile.Write(p.setFile(key), append(data, '\n'), 0o666)
}

// Command prepares a program of the tools: its root is a stack of layers that it can write to, and what it writes is
// thrown away by cleanup, which must be called.
func (p *Provider) Command(layers []string, argv ...string) (cmd *sandbox.Cmd, cleanup func(), err error) {
	runs := filepath.Join(p.o.Dir, "run")
	if err := os.MkdirAll(runs, 0o777); err != nil {
		return nil, nil, err
	}
	scratch, err := os.MkdirTemp(runs, "run-")
	if err != nil {
		return nil, nil, err
	}
	cleanup = func() { sandbox.Remove(scratch) }
	upper, work := filepath.Join(scratch, "upper"), filepath.Join(scratch, "work")
	for _, dir := range []string{upper, work} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			cleanup()
			return nil, nil, err
		}
	}
	return &sandbox.Cmd{
		Argv: argv,
		Env: []string{
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "TERM=dumb",
		},
		Mounts: append([]sandbox.Mount{{Type: sandbox.Overlay, Target: "/", Lower: layers, Upper: upper, Work: work}}, sandbox.System()...),
	}, cleanup, nil
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}
