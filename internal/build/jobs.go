package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"n3x/internal/atomicfile"
	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/recipe"
	"n3x/internal/diag"
	"n3x/internal/isar"
	"n3x/internal/progress"
	"n3x/internal/runqueue"
	"n3x/internal/siginfo"
	"n3x/internal/taskgraph"
)

type counter struct{ n atomic.Int64 }

func (c *counter) add()       { c.n.Add(1) }
func (c *counter) value() int { return int(c.n.Load()) }

// python runs Python functions of recipes.
type python struct{ world *recipe.World }

func (p python) Exec(ctx context.Context, function string, d *datastore.Data, run func(context.Context, string, *datastore.Data) error) error {
	return p.world.ExecPython(ctx, function, d, run)
}

// jobs makes one job for each task of the graph, in its order.
func (s *session) jobs() []runqueue.Job {
	at := map[*taskgraph.Task]int{}
	for i, t := range s.graph.Tasks {
		at[t] = i
	}
	var jobs []runqueue.Job
	ahead := map[string]bool{} // multiconfigs' images of one recipe mostly have the same packages of Debian
	for _, t := range s.graph.Tasks {
		if t.Name == "do_rootfs_install" && !s.spare[t] && !ahead[t.Recipe.PN] && !s.warm {
			jobs = append(jobs, s.ahead(t))
			ahead[t.Recipe.PN] = s.sharing.store != ""
		}
	}
	first := len(jobs)
	for _, t := range s.graph.Tasks {
		j := runqueue.Job{Name: taskName(t), Run: func(ctx context.Context) error { return s.runTask(ctx, t) }}
		needs := t.DependsOn
		if other, taken := s.from[t]; taken {
			needs = nil
			if other != nil {
				needs = []*taskgraph.Task{other}
			}
		}
		for _, d := range needs {
			j.Needs = append(j.Needs, first+at[d])
		}
		jobs = append(jobs, j)
	}
	return jobs
}

// force makes the tasks that the options name, and with them all that depend on them, run although they are done.
func (s *session) force() error {
	again := "do_" + strings.TrimPrefix(s.o.Again, "do_")
	any := false
	for _, t := range s.graph.Tasks {
		target := slices.ContainsFunc(s.graph.Targets, func(target *taskgraph.Task) bool { return target.Recipe == t.Recipe })
		if s.o.Force && slices.Contains(s.graph.Targets, t) || s.o.Again != "" && t.Name == again && target {
			if err := siginfo.Force(t); err != nil {
				return err
			}
			any = true
		}
	}
	if s.o.Again != "" && !any {
		return diag.Userf(diag.Pos{}, "no target has a task %s that would run", again).WithHint("`bitbake -n TARGET` lists the tasks")
	}
	if !any {
		return nil
	}
	return siginfo.Sign(s.graph, s.world, s.o.TopDir)
}

func taskName(t *taskgraph.Task) string {
	name := t.Recipe.PN + ":" + t.Name
	if t.Recipe.MC != "" {
		name = "mc:" + t.Recipe.MC + ":" + name
	}
	return name
}

// runTask runs a task unless its stamp says that it is done.
func (s *session) runTask(ctx context.Context, t *taskgraph.Task) error {
	if t.NoExec || s.spare[t] || s.idle[t] {
		return nil
	}
	if _, taken := s.from[t]; taken {
		return s.take(t)
	}
	st, err := newStamp(t)
	if err != nil {
		return err
	}
	if !t.NoStamp && st.valid() {
		s.o.Progress.Cached(taskName(t))
		return s.keep(t, st)
	}
	s.ran.add()
	task := s.o.Progress.Task(taskName(t))
	err = s.execute(ctx, t, st, task)
	if again := (*isar.PlanAgain)(nil); errors.As(err, &again) {
		task.Defer()
		return err
	}
	err = s.fullDisk(t, err)
	task.End(err)
	return err
}

// fullDisk says so when what n3x writes beside a task, its stamp and its record, found no space; tasks themselves do.
func (s *session) fullDisk(t *taskgraph.Task, err error) error {
	if said := (*diag.Error)(nil); !errors.Is(err, syscall.ENOSPC) || errors.As(err, &said) {
		return err
	}
	return isar.DiskFull(diag.Pos{File: filepath.Clean(t.Recipe.File)}, err, s.o.TopDir)
}

// taskOf is a task of the graph as the engine takes it.
func taskOf(t *taskgraph.Task) isar.Task {
	return isar.Task{Recipe: t.Recipe.PN, Name: t.Name, Data: t.Recipe.Data, Pos: diag.Pos{File: filepath.Clean(t.Recipe.File)}}
}

// ahead makes the layers of Debian packages of a root file system while the packages of this build are still being made:
// mostly these do not change what is chosen. If they do, or if this fails, do_rootfs_install does it itself.
func (s *session) ahead(t *taskgraph.Task) runqueue.Job {
	return runqueue.Job{Name: taskName(t) + " (ahead)", Ahead: true, Run: func(ctx context.Context) error {
		st, err := newStamp(t)
		if err != nil || st.valid() {
			return nil
		}
		p := s.o.Progress.Task("Debian packages of " + t.Recipe.PN)
		run := taskOf(t)
		run.Progress = p
		if err = s.engine.Aside(ctx, run, s.room.Ahead); ctx.Err() != nil {
			p.Defer()
		} else {
			p.End(err)
		}
		return nil
	}}
}

func (s *session) execute(ctx context.Context, t *taskgraph.Task, st *stamp, p *progress.Task) error {
	if err := st.remove(); err != nil {
		return err
	}
	before, err := st.deployed()
	if err != nil {
		return err
	}
	run := taskOf(t)
	run.Progress = p
	for _, d := range ancestors(t) {
		switch {
		case d.Recipe == t.Recipe:
			run.Ancestors = append(run.Ancestors, d.Name)
		case d.Name == "do_deploy_deb":
			work, err := d.Recipe.Data.Copy().Value("WORKDIR")
			if err != nil {
				return err
			}
			run.Deployed = append(run.Deployed, work)
		}
	}
	slices.Sort(run.Deployed)
	run.Left = func(path string) { st.kept = append(st.kept, path) }
	if err := s.engine.Run(ctx, run); err != nil {
		return err
	}
	if err := st.record(before); err != nil {
		return err
	}
	if err := s.keep(t, st); err != nil {
		return err
	}
	values, err := siginfo.Values(s.world)
	if err != nil {
		return err
	}
	return siginfo.Ran(t, values)
}

// ancestors are all tasks that t needs, directly or not, in no particular order.
func ancestors(t *taskgraph.Task) []*taskgraph.Task {
	var out []*taskgraph.Task
	seen := map[*taskgraph.Task]bool{t: true}
	queue := []*taskgraph.Task{t}
	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]
		for _, d := range next.DependsOn {
			if !seen[d] {
				seen[d] = true
				out = append(out, d)
				queue = append(queue, d)
			}
		}
	}
	return out
}

// stamp remembers that a task was done, with which signature, and what it left behind.
type stamp struct {
	base   string // STAMP.do_x
	path   string // STAMP.do_x.<signature>
	task   string
	work   string
	deploy string   // folder whose new files belong to the task; "" when it deploys none
	image  string   // prefix of these files' names
	kept   []string // further files that the task has left
}

func newStamp(t *taskgraph.Task) (*stamp, error) {
	var err error
	d := t.Recipe.Data.Copy()
	value := func(name string) string {
		v, e := d.Value(name)
		err = errors.Join(err, e)
		return v
	}
	st := &stamp{task: t.Name, work: value("WORKDIR")}
	st.base = value("STAMP") + "." + t.Name
	st.path = st.base + "." + t.Signature
	if full := value("IMAGE_FULLNAME"); full != "" {
		st.deploy, st.image = value("DEPLOY_DIR_IMAGE"), full
	}
	return st, err
}

// valid reports whether the task was done with this signature and everything it left is still there.
func (s *stamp) valid() bool {
	data, err := os.ReadFile(s.path)
	if err != nil {
		return false
	}
	var layers []isar.Layer
	for line := range strings.SplitSeq(strings.TrimSpace(string(data)), "\n") {
		kind, name, _ := strings.Cut(line, " ")
		switch kind {
		case "file", "kept":
			if _, err := os.Stat(name); err != nil {
				return false
			}
		case "layer":
			if layers == nil {
				if layers, err = isar.ReadLayers(s.work); err != nil {
					return false
				}
			}
			if !slices.ContainsFunc(layers, func(l isar.Layer) bool { return l.Task == s.task && l.Dir == name }) {
				return false
			}
			if _, err := os.Stat(name); err != nil {
				return false
			}
		}
	}
	return true
}

// files are the deployed files that the task left and that are still there.
func (s *stamp) files() ([]string, error) {
	data, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	for line := range strings.SplitSeq(string(data), "\n") {
		if name, ok := strings.CutPrefix(line, "file "); ok {
			if _, err := os.Stat(name); err == nil {
				out = append(out, name)
			}
		}
	}
	return out, nil
}

// remove forgets all earlier runs of the task.
func (s *stamp) remove() error {
	dir, prefix := filepath.Split(s.base)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if sig, ok := strings.CutPrefix(e.Name(), prefix+"."); ok && !strings.Contains(sig, ".") && sig != "taint" {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// deployed are the files in the deploy folder that bear the image's name.
func (s *stamp) deployed() (map[string]fs.FileInfo, error) {
	if s.deploy == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(s.deploy)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	files := map[string]fs.FileInfo{}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasPrefix(e.Name(), s.image) {
			files[filepath.Join(s.deploy, e.Name())] = info
		}
	}
	return files, nil
}

// record writes the stamp. The task's are the deployed files that were not there, or were others, before it ran.
func (s *stamp) record(before map[string]fs.FileInfo) error {
	var b strings.Builder
	layers, err := isar.ReadLayers(s.work)
	if err != nil {
		return err
	}
	for _, l := range layers {
		if l.Task == s.task {
			fmt.Fprintf(&b, "layer %s\n", l.Dir)
		}
	}
	after, err := s.deployed()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if old := before[name]; old == nil || !os.SameFile(old, after[name]) || !old.ModTime().Equal(after[name].ModTime()) {
			fmt.Fprintf(&b, "file %s\n", name)
		}
	}
	if s.task == "do_dpkg_build" { // whatever built them, the packages are found there
		debs, err := fs.Glob(os.DirFS(s.work), "*.deb")
		if err != nil {
			return err
		}
		for _, name := range debs {
			s.kept = append(s.kept, filepath.Join(s.work, name))
		}
	}
	for _, name := range s.kept {
		fmt.Fprintf(&b, "kept %s\n", name)
	}
	return atomicfile.Write(s.path, []byte(b.String()), 0o644)
}
