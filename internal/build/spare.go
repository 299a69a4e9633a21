package build

import (
	"slices"
	"strings"

	"n3x/internal/bitbake/recipe"
	"n3x/internal/taskgraph"
)

// deployRoot is the task that build roots have, and other recipes do not.
const deployRoot = "do_sbuildchroot_deploy"

// spare are the tasks of build roots that nothing needs now: every package that is built in one is built already. A build root is made
// anew when the archive has other packages, which is in vain then. done says whether a task's result is there.
func spare(g *taskgraph.Graph, done func(*taskgraph.Task) bool) map[*taskgraph.Task]bool {
	roots := map[*recipe.Recipe]bool{}
	for _, t := range g.Tasks {
		if strings.HasPrefix(t.Name, "do_clean") {
			return nil // what is done now may not be when its turn comes
		}
		if t.Name == deployRoot {
			roots[t.Recipe] = true
		}
	}
	if len(roots) == 0 {
		return nil
	}
	needs := map[*taskgraph.Task]bool{} // needs what it depends on
	for _, t := range g.Tasks {
		switch {
		case slices.Contains(g.Targets, t):
			needs[t] = roots[t.Recipe] || !t.NoExec && !done(t)
		case !roots[t.Recipe] && !t.NoExec:
			needs[t] = !done(t)
		}
	}
	for _, t := range slices.Backward(g.Tasks) { // a task comes after those that it depends on
		if !needs[t] {
			continue
		}
		for _, d := range t.DependsOn {
			if roots[d.Recipe] || d.NoExec {
				needs[d] = true
			}
		}
	}
	out := map[*taskgraph.Task]bool{}
	for _, t := range g.Tasks {
		if roots[t.Recipe] && !needs[t] {
			out[t] = true
		}
	}
	return out
}

// findSpare is spare for the session's graph and stamps.
func (s *session) findSpare() error {
	if s.whole {
		return nil
	}
	var failed error
	s.spare = spare(s.graph, func(t *taskgraph.Task) bool {
		if _, taken := s.from[t]; taken || s.idle[t] {
			return true
		}
		st, err := newStamp(t)
		if err != nil {
			failed = err
		}
		return err == nil && !t.NoStamp && st.valid()
	})
	return failed
}
