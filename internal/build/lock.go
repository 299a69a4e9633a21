package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"n3x/internal/arch"
	"n3x/internal/atomicfile"
	"n3x/internal/debian"
	"n3x/internal/debian/apt"
	"n3x/internal/debian/deb"
	"n3x/internal/debian/solve"
	"n3x/internal/diag"
	"n3x/internal/isar"
	"n3x/internal/isar/images"
	"n3x/internal/isar/packages"
	"n3x/internal/progress"
	"n3x/internal/taskgraph"
	"n3x/internal/tools"
)

// Lock is n3x.lock: every Debian package that builds of a project use, and the time that what they build bears.
type Lock struct {
	Version  int                        `yaml:"version"`
	Epoch    int64                      `yaml:"epoch"`
	Archives map[string][]LockedPackage `yaml:"archives"` // by configuration, e.g. "debian-trixie-amd64"; "tools" is the tools tree
	Sources  map[string][]LockedSource  `yaml:"sources"`  // Debian source packages of apt:// entries, by configuration
}

// LockedPackage is one package of a lock file.
type LockedPackage struct {
	Name    string `yaml:"name"`
	Version string `yaml:"version"`
	Arch    string `yaml:"arch"`
	Size    int64  `yaml:"size"`
	SHA256  string `yaml:"sha256"`
	File    string `yaml:"file"`  // below the source's URI
	Index   string `yaml:"index"` // e.g. "http://deb.debian.org/debian trixie main"
}

// toolsKey names the tools tree's packages in a lock file.
const toolsKey = "tools"

const lockVersion = 1

// ReadLock reads a lock file; without one it returns nil.
func ReadLock(path string) (*Lock, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || path == "" {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var l Lock
	if err := yaml.UnmarshalWithOptions(data, &l, yaml.Strict()); err != nil {
		return nil, diag.Userf(diag.Pos{File: path, Line: 1}, "read the lock file: %s", yaml.FormatError(err, false, true)).WithHint("restore it from version control, or write it anew: n3x lock --update")
	}
	if l.Version != lockVersion {
		return nil, diag.Userf(diag.Pos{File: path, Line: 1}, "the lock file has version %d; this n3x reads version %d", l.Version, lockVersion).WithHint("write it anew: n3x lock --update")
	}
	return &l, nil
}

// Write stores a lock file, one package on each line.
func (l *Lock) Write(path string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Written by `n3x lock`. `n3x lock --update` renews it; builds use exactly these packages.\nversion: %d\nepoch: %d\narchives:\n", l.Version, l.Epoch)
	for _, k := range slices.Sorted(maps.Keys(l.Archives)) {
		fmt.Fprintf(&b, "  %s:\n", k)
		for _, p := range l.Archives[k] {
			fmt.Fprintf(&b, "  - {name: %q, version: %q, arch: %q, size: %d, sha256: %q, file: %q, index: %q}\n", p.Name, p.Version, p.Arch, p.Size, p.SHA256, p.File, p.Index)
		}
	}
	if len(l.Sources) > 0 {
		b.WriteString("sources:\n")
	}
	for _, k := range slices.Sorted(maps.Keys(l.Sources)) {
		fmt.Fprintf(&b, "  %s:\n", k)
		for _, s := range l.Sources[k] {
			fmt.Fprintf(&b, "  - %s\n", s.line())
		}
	}
	return atomicfile.Write(path, []byte(b.String()), 0o644)
}

// Difference lists what changes from old (which may be nil) to l, one line each.
func (l *Lock) Difference(old *Lock) []string {
	if old == nil {
		old = &Lock{}
	}
	index := func(k *Lock) map[string]string {
		m := map[string]string{}
		for key, list := range k.Archives {
			for _, p := range list {
				m[key+" "+p.Name+":"+p.Arch] = p.Version
			}
		}
		for key, list := range k.Sources {
			for _, p := range list {
				m[key+" apt://"+p.Request] = p.Version
			}
		}
		return m
	}
	before, after := index(old), index(l)
	var out []string
	for name, v := range after {
		switch was, ok := before[name]; {
		case !ok:
			out = append(out, fmt.Sprintf("+ %s %s", name, v))
		case was != v:
			out = append(out, fmt.Sprintf("~ %s %s -> %s", name, was, v))
		}
	}
	for name, v := range before {
		if _, ok := after[name]; !ok {
			out = append(out, fmt.Sprintf("- %s %s", name, v))
		}
	}
	slices.SortFunc(out, func(a, b string) int { return strings.Compare(a[2:], b[2:]) })
	return out
}

// MakeLock builds o.Targets from the newest packages and returns a lock of what was used.
func MakeLock(ctx context.Context, o Options, epoch int64) (*Lock, error) {
	o.LockFile = ""
	s, err := open(ctx, o)
	if err != nil {
		return nil, err
	}
	s.whole = true
	if _, err := s.run(ctx); err != nil {
		return nil, err
	}
	l := &Lock{Version: lockVersion, Epoch: epoch, Archives: map[string][]LockedPackage{}}
	for _, t := range s.graph.Tasks {
		if err := errors.Join(l.addUsed(t), l.addSources(ctx, s.archives, t)); err != nil {
			return nil, err
		}
	}
	sets, err := s.used.read()
	if err != nil {
		return nil, err
	}
	for _, set := range sets {
		provider, err := s.providerOf(set.Archive)
		if err != nil {
			return nil, err
		}
		if provider == nil {
			continue // of a configuration that is not part of these targets
		}
		list, err := provider.Packages(ctx, set.Packages...)
		if err != nil {
			return nil, err
		}
		l.add(set.Archive, list)
	}
	return l, s.fetchLocked(ctx, l)
}

// fetchLocked makes sure that the download folder has all that a lock file names, so that a build with it can do without
// the network: layers in SSTATE_DIR may have been made from another download folder.
func (s *session) fetchLocked(ctx context.Context, l *Lock) error {
	for key := range l.Archives {
		client := s.provider.Client()
		if ar := s.archives.All()[key]; ar != nil {
			client = ar.Client
		}
		list, err := l.packages(key)
		if err != nil {
			return err
		}
		if _, err := client.Fetch(ctx, list, nil); err != nil {
			return err
		}
	}
	return nil
}

// addUsed adds what a task has taken from the archives: root file systems, and build dependencies of packages.
func (l *Lock) addUsed(t *taskgraph.Task) error {
	if t.Name != "do_rootfs_install" && t.Name != "do_dpkg_build" {
		return nil
	}
	work, err := t.Recipe.Data.Value("WORKDIR")
	if err != nil {
		return err
	}
	if t.Name == "do_dpkg_build" {
		used, err := packages.ReadBuildDepends(work)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it was built without a build root
		}
		if err == nil {
			l.add(used.Archive, used.Packages)
		}
		return err
	}
	used, err := images.ReadSelection(work)
	if err == nil {
		l.add(used.Archive, used.Packages)
	}
	return err
}

func (l *Lock) add(key string, list []*debian.Package) {
	for _, p := range list {
		if p.Index == nil || p.Index.URI == isar.DeployedURI {
			continue // made by this build
		}
		l.Archives[key] = append(l.Archives[key], LockedPackage{
			Name: p.Name, Version: string(p.Version), Arch: p.Architecture, Size: p.Size, SHA256: p.SHA256, File: p.Filename,
			Index: indexText(p.Index),
		})
	}
	slices.SortFunc(l.Archives[key], func(a, b LockedPackage) int {
		return strings.Compare(a.Name+":"+a.Arch+"="+a.Version, b.Name+":"+b.Arch+"="+b.Version)
	})
	l.Archives[key] = slices.Compact(l.Archives[key])
}

// packages are the locked packages of a configuration, without their relations.
func (l *Lock) packages(key string) ([]*debian.Package, error) {
	list, ok := l.Archives[key]
	if !ok {
		return nil, diag.Userf(diag.Pos{}, "n3x.lock has no packages of %s", key).WithHint("the configuration has changed since it was written: n3x lock --update")
	}
	indices := map[string]*debian.Index{}
	var out []*debian.Package
	for _, p := range list {
		x := indices[p.Index]
		if x == nil {
			x = parseIndexText(p.Index)
			indices[p.Index] = x
		}
		out = append(out, &debian.Package{Name: p.Name, Version: debian.Version(p.Version), Architecture: p.Arch, Size: p.Size,
			SHA256: p.SHA256, Filename: p.File, Index: x, Pin: 500})
	}
	return out, nil
}

// digest identifies the locked packages of a configuration.
func (l *Lock) digest(key string) (string, error) {
	list, err := l.packages(key)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, p := range list {
		fmt.Fprintln(h, p.ID(), p.SHA256)
	}
	return "lock-" + hex.EncodeToString(h.Sum(nil)), nil
}

// state fetches the locked packages of a configuration and reads their relations out of the files themselves, so that a
// locked build needs no package index.
func (l *Lock) state(ctx context.Context, key string, client *apt.Client, p *progress.Task) (*apt.State, error) {
	list, err := l.packages(key)
	if err != nil {
		return nil, err
	}
	p.Step(fmt.Sprintf("fetching the %d locked packages of %s", len(list), key))
	paths, err := client.Fetch(ctx, list, p)
	if err != nil {
		return nil, err
	}
	s := &apt.State{}
	for i, path := range paths {
		d, err := deb.OpenFile(path)
		if err != nil {
			return nil, err
		}
		full, err := d.Package()
		d.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		full.Index, full.Pin, full.Filename, full.SHA256, full.Size = list[i].Index, list[i].Pin, list[i].Filename, list[i].SHA256, list[i].Size
		s.Packages = append(s.Packages, full)
	}
	s.Digest, err = l.digest(key)
	return s, err
}

// useLock makes a lock file, if there is one, the source of all packages.
func (s *session) useLock() error {
	lock, err := ReadLock(s.o.LockFile)
	if err != nil || lock == nil {
		return err
	}
	s.lock = lock
	s.archives.Locked = func(ctx context.Context, key string, client *apt.Client, p *progress.Task) (*apt.State, error) {
		return lock.state(ctx, key, client, p)
	}
	s.archives.LockedSource = lock.source
	return nil
}

// blameLock adds to what cannot be installed that only the packages of the lock file were there to choose from.
func (s *session) blameLock(err error) error {
	var unsolved *solve.Unsatisfiable
	var d *diag.Error
	if s.lock != nil && errors.As(err, &unsolved) && errors.As(err, &d) && d.Hint == "" {
		d.Hint = fmt.Sprintf("this build may use the packages of %s only; when its packages have changed: n3x lock --update FILES", s.o.LockFile)
	}
	return err
}

// toolSet is one list of packages that was asked for together.
type toolSet struct {
	Archive  string
	Packages []string
}

// toolRecord remembers which sets of tools the builds of a build folder have asked for.
type toolRecord struct{ path string }

func (r *toolRecord) read() ([]toolSet, error) {
	data, err := os.ReadFile(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var sets []toolSet
	return sets, json.Unmarshal(data, &sets)
}

// add remembers one set.
func (r *toolRecord) add(archive string, packages []string) error {
	lock, err := atomicfile.WaitLock(r.path + ".lock")
	if err != nil {
		return err
	}
	defer lock.Unlock()
	sets, err := r.read()
	if err != nil {
		return err
	}
	packages = slices.Clone(packages)
	slices.Sort(packages)
	for _, s := range sets {
		if s.Archive == archive && slices.Equal(s.Packages, packages) {
			return nil
		}
	}
	data, err := json.MarshalIndent(append(sets, toolSet{archive, packages}), "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(r.path, data, 0o644)
}

// recordingTools is a provider whose requests are remembered.
type recordingTools struct {
	provider *tools.Provider
	record   *toolRecord
}

// Layers is [tools.Provider.Layers].
func (r recordingTools) Layers(ctx context.Context, packages ...string) ([]string, error) {
	if err := r.record.add(toolsKey, packages); err != nil {
		return nil, err
	}
	return r.provider.Layers(ctx, packages...)
}

// Tree is [tools.Provider.Tree].
func (r recordingTools) Tree(ctx context.Context, packages ...string) (string, map[string]string, error) {
	if err := r.record.add(toolsKey, packages); err != nil {
		return "", nil, err
	}
	return r.provider.Tree(ctx, packages...)
}

// Emulate is [tools.Provider.Emulate].
func (r recordingTools) Emulate(ctx context.Context, a arch.Arch) error {
	if err := r.record.add(toolsKey, []string{tools.EmulatorPackage}); err != nil {
		return err
	}
	return r.provider.Emulate(ctx, a)
}

func (s *session) providerOf(archive string) (*tools.Provider, error) {
	if archive == toolsKey {
		return s.provider, nil
	}
	ar := s.archives.All()[archive]
	if ar == nil {
		return nil, nil
	}
	return ar.Tools(s.room.ToolsDir)
}

func toolRecordOf(topDir string) *toolRecord {
	return &toolRecord{filepath.Join(topDir, "tmp", "n3x", "tools-used.json")}
}
