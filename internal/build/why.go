package build

import (
	"context"
	"slices"
	"strings"

	"n3x/internal/diag"
	"n3x/internal/siginfo"
	"n3x/internal/taskgraph"
)

// Why explains for the tasks called name ("PN:do_task", "mc:NAME:PN:do_task", or "do_task" of the targets' recipes) whether
// building o.Targets would run them, and what has changed since they ran last.
func Why(ctx context.Context, o Options, name string) ([]string, error) {
	s, err := open(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := s.plan(ctx); err != nil {
		return nil, err
	}
	var out, names []string
	for _, t := range s.graph.Tasks {
		names = append(names, taskName(t))
		if !s.meant(t, name) {
			continue
		}
		lines, err := s.why(t)
		if err != nil {
			return nil, err
		}
		out = append(out, lines...)
	}
	if out == nil {
		e := diag.Userf(diag.Pos{}, "no task %s is needed for %s", name, strings.Join(o.Targets, " "))
		if near := diag.Nearest(name, names); near != "" {
			return nil, e.WithHint("did you mean %s?", near)
		}
		return nil, e.WithHint("`n3x plan FILES` lists the tasks")
	}
	return out, nil
}

// meant reports whether the user means a task.
func (s *session) meant(t *taskgraph.Task, name string) bool {
	i := strings.LastIndexByte(name, ':')
	if task := "do_" + strings.TrimPrefix(name[i+1:], "do_"); task != t.Name {
		return false
	}
	if i < 0 {
		return slices.ContainsFunc(s.graph.Targets, func(target *taskgraph.Task) bool { return target.Recipe == t.Recipe })
	}
	return taskName(t) == name[:i+1]+t.Name
}

func (s *session) why(t *taskgraph.Task) ([]string, error) {
	name := taskName(t)
	if t.NoExec {
		return []string{name + ": has nothing to run ([noexec])"}, nil
	}
	st, err := newStamp(t)
	if err != nil {
		return nil, err
	}
	last, err := siginfo.LastRun(st.base)
	if err != nil {
		return nil, err
	}
	now, err := siginfo.Of(t)
	if err != nil {
		return nil, err
	}
	switch {
	case t.NoStamp:
		return []string{name + ": runs every time: it, or a task that it depends on, has [nostamp]"}, nil
	case st.valid():
		return []string{name + ": is done; nothing that counts has changed"}, nil
	case last == nil:
		return []string{name + ": would run: it has not run here before, or what it was made of is no longer stored"}, nil
	case last.Signature == now.Signature:
		return []string{name + ": would run: nothing that counts has changed, but its last run did not end well, or what it left is gone"}, nil
	}
	lines, err := siginfo.Compare(last, now)
	out := []string{name + ": would run: since it ran last"}
	for _, l := range lines {
		out = append(out, "  "+l)
	}
	return out, err
}
