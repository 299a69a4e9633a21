package build

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/diag"
	"n3x/internal/sandbox"
	"n3x/internal/taskgraph"
)

// buildTask makes a recipe's packages.
const buildTask = "do_dpkg_build"

// sharing is how multiconfigs with folders of their own have packages built once: those of one signature are kept in a
// store and linked into the others' work folders, whose other tasks for the package are left out.
type sharing struct {
	store string                              // "" = nothing is shared
	from  map[*taskgraph.Task]*taskgraph.Task // takes its packages from the store, after this task if it is not nil
	idle  map[*taskgraph.Task]bool            // tasks that would only prepare what is taken
	warm  bool                                // an earlier build has made packages, and so the layers of Debian's
}

// share decides which packages are taken from the store, or from another multiconfig of this build.
func (s *session) share() error {
	s.sharing = sharing{store: s.o.Packages, from: map[*taskgraph.Task]*taskgraph.Task{}, idle: map[*taskgraph.Task]bool{}}
	if s.o.Packages == "" {
		return nil
	}
	wanted := s.wantedInside()
	first := map[string]*taskgraph.Task{}
	for _, t := range s.graph.Tasks {
		if t.Name != buildTask || t.NoExec || t.NoStamp || slices.Contains(s.graph.Targets, t) {
			continue
		}
		st, err := newStamp(t)
		if err != nil {
			return err
		}
		early := s.early(t)
		key := filepath.Base(s.stored(t))
		other := first[key]
		if slices.ContainsFunc(early, func(e *taskgraph.Task) bool { return wanted[e] }) {
			continue
		}
		_, missing := os.Stat(s.stored(t))
		done := st.valid()
		if !done && missing != nil && other == nil {
			first[key] = t // builds them for all
			continue
		}
		if done && other == nil {
			first[key] = t // has them, and keeps them for all
		}
		for _, e := range early {
			s.idle[e] = true
		}
		if done {
			continue
		}
		if missing == nil {
			other, s.sharing.warm = nil, true
		}
		s.from[t] = other
	}
	return nil
}

// stored is the store's folder for the packages of a task.
func (s *session) stored(t *taskgraph.Task) string {
	return filepath.Join(s.sharing.store, t.Recipe.PN+"-"+t.Signature)
}

// early are the tasks of t's recipe that do not come after t.
func (s *session) early(t *taskgraph.Task) []*taskgraph.Task {
	after := map[*taskgraph.Task]bool{t: true}
	var out []*taskgraph.Task
	for _, x := range s.graph.Tasks { // a task comes after those that it depends on
		if x.Recipe != t.Recipe || x == t {
			continue
		}
		if slices.ContainsFunc(x.DependsOn, func(d *taskgraph.Task) bool { return after[d] }) {
			after[x] = true
		} else {
			out = append(out, x)
		}
	}
	return out
}

// wantedInside are tasks that were asked for, or that tasks of other recipes need.
func (s *session) wantedInside() map[*taskgraph.Task]bool {
	out := map[*taskgraph.Task]bool{}
	for _, t := range s.graph.Targets {
		out[t] = true
	}
	for _, t := range s.graph.Tasks {
		for _, d := range t.DependsOn {
			if d.Recipe != t.Recipe && !t.NoExec && !d.NoExec {
				out[d] = true
			}
		}
	}
	return out
}

// take links packages of the store into the work folder of a task, which then is done.
func (s *session) take(t *taskgraph.Task) error {
	st, err := newStamp(t)
	if err != nil {
		return err
	}
	if err := st.remove(); err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(st.work, "*.deb"))
	if err != nil {
		return err
	}
	for _, file := range old {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(s.stored(t))
	if err != nil {
		return diag.Failedf(diag.Pos{}, "take the packages of %s from another variant: %w", t.Recipe.PN, err)
	}
	if err := os.MkdirAll(st.work, 0o777); err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Link(filepath.Join(s.stored(t), e.Name()), filepath.Join(st.work, e.Name())); err != nil {
			return err
		}
	}
	s.o.Progress.Cached(taskName(t))
	return st.record(nil)
}

// keep puts the packages that a task has built into the store.
func (s *session) keep(t *taskgraph.Task, st *stamp) error {
	if s.sharing.store == "" || t.Name != buildTask || t.NoStamp {
		return nil
	}
	if _, err := os.Stat(s.stored(t)); err == nil {
		return nil
	}
	debs, err := fs.Glob(os.DirFS(st.work), "*.deb")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.sharing.store, 0o777); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(s.sharing.store, ".tmp-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	for _, name := range debs {
		if err := os.Link(filepath.Join(st.work, name), filepath.Join(tmp, name)); err != nil {
			return err
		}
	}
	if err := os.Rename(tmp, s.stored(t)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// dropUnused removes packages from the store that no task of this build has.
func (s *session) dropUnused() error {
	if !s.o.Whole || s.sharing.store == "" {
		return nil
	}
	used := map[string]bool{}
	for _, t := range s.graph.Tasks {
		if t.Name == buildTask {
			used[filepath.Base(s.stored(t))] = true
		}
	}
	entries, err := os.ReadDir(s.sharing.store)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if !used[e.Name()] || strings.HasPrefix(e.Name(), ".tmp-") {
			if err := sandbox.Remove(filepath.Join(s.sharing.store, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// Target is a target of a build.
type Target struct {
	Multiconfig, Recipe string
	Done                bool // all its tasks have run, or had
	Values              map[string]string
}

// targets are the targets with the values that were asked for. Without stamps nothing is said of what is done.
func (s *session) targets(stamps bool) ([]Target, error) {
	var out []Target
	for _, t := range s.graph.Targets {
		r := Target{Multiconfig: t.Recipe.MC, Recipe: t.Recipe.PN, Done: stamps, Values: map[string]string{}}
		d := t.Recipe.Data.Copy()
		for _, name := range s.o.Values {
			v, err := d.Value(name)
			if err != nil {
				return nil, err
			}
			r.Values[name] = v
		}
		for _, x := range s.graph.Tasks {
			if !stamps || x.Recipe != t.Recipe || x.NoExec || x.NoStamp {
				continue
			}
			st, err := newStamp(x)
			if err != nil {
				return nil, err
			}
			r.Done = r.Done && st.valid()
		}
		out = append(out, r)
	}
	return out, nil
}
