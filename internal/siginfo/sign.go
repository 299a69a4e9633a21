package siginfo

import (
	"path/filepath"

	"n3x/internal/bitbake/recipe"
	"n3x/internal/taskgraph"
)

// Sign computes the signatures of a graph made from the metadata of a build folder.
func Sign(g *taskgraph.Graph, w *recipe.World, topDir string) error {
	places := map[string]string{topDir: "TOPDIR"}
	for _, l := range w.Layers() {
		places[l.Dir] = "LAYERDIR_" + l.Name
	}
	return g.Sign(taskgraph.Options{FileDigest: FileDigest, Places: places, Passing: passing, Taint: taint})
}

// passing are the variables of signatures that change with the package archives, not with the project.
var passing = []string{"N3X_APT_STATE"}

// Values is the folder for values of a build folder's records.
func Values(w *recipe.World) (string, error) {
	tmp, err := w.Base("").Value("TMPDIR")
	return filepath.Join(tmp, "siginfo"), err
}

// WriteAll stores the records of all tasks of a signed graph, as `bitbake -S none` does, and returns how many there are.
func WriteAll(g *taskgraph.Graph, values string) (int, error) {
	for _, t := range g.Tasks {
		r, err := Of(t)
		if err == nil {
			err = r.Write(values)
		}
		if err != nil {
			return 0, err
		}
	}
	return len(g.Tasks), nil
}

// PrintDiff explains, as `bitbake -S printdiff` does, which tasks of a signed graph have other signatures than were stored
// before: those where the changes begin, not what merely depends on them.
func PrintDiff(g *taskgraph.Graph) ([]string, error) {
	changed := map[*taskgraph.Task]bool{}
	var out []string
	for _, t := range g.Tasks {
		r, err := Of(t)
		if err != nil {
			return nil, err
		}
		old, err := previous(t)
		if err != nil {
			return nil, err
		}
		if old == nil || old.Signature == r.Signature {
			continue
		}
		changed[t] = true
		c := &comparison{seen: map[string]bool{}}
		if err := c.own(old, r, "     "); err != nil {
			return nil, err
		}
		if len(c.out) == 0 && anyChanged(t, changed) {
			continue
		}
		if len(c.out) == 0 { // other tasks than before
			if err := c.tasks(old, r, "     ", maxDepth); err != nil {
				return nil, err
			}
		}
		out = append(out, "Task "+r.Name()+" couldn't be used from the cache because:",
			"  We need hash "+r.Signature+", most recent matching task was "+old.Signature)
		out = append(out, c.out...)
	}
	return out, nil
}

func anyChanged(t *taskgraph.Task, changed map[*taskgraph.Task]bool) bool {
	for _, d := range t.DependsOn {
		if changed[d] {
			return true
		}
	}
	return false
}

// previous is the newest stored record of a task, or the one with its very signature.
func previous(t *taskgraph.Task) (*Record, error) {
	stamp, err := Stamp(t)
	if err != nil {
		return nil, err
	}
	list, err := Latest(stamp)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	for _, path := range list {
		if path == Path(stamp, t.Signature) {
			return Read(path)
		}
	}
	return Read(list[0])
}
