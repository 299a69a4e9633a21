package taskgraph

import (
	"slices"
	"strings"

	"n3x/internal/diag"
)

// narrow applies --runall and --runonly to the tasks that were asked for.
func (r *resolver) narrow(start []*Task) ([]*Task, error) {
	if len(r.req.RunAll) > 0 {
		if start = runAll(start, r.req.RunAll); len(start) == 0 {
			return nil, noSuchTasks(r.req.RunAll, "of the recipes that the targets lead to has")
		}
	}
	if len(r.req.RunOnly) > 0 {
		var only []*Task
		for _, t := range closure(start) {
			if slices.ContainsFunc(r.req.RunOnly, func(n string) bool { return taskName(n) == t.Name }) {
				only = append(only, t)
			}
		}
		if start = only; len(start) == 0 {
			return nil, noSuchTasks(r.req.RunOnly, "of the tasks that the targets lead to is")
		}
	}
	return start, nil
}

func taskName(name string) string { return "do_" + strings.TrimPrefix(name, "do_") }

func noSuchTasks(names []string, what string) error {
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = taskName(n)
	}
	return diag.Userf(diag.Pos{}, "none %s %s", what, strings.Join(list, " or ")).
		WithHint("`bitbake -c listtasks RECIPE` shows a recipe's tasks")
}

// runAll are the tasks called one of names of all recipes that the given tasks lead to, and again of those that these lead to.
func runAll(start []*Task, names []string) []*Task {
	found := map[*Task]bool{}
	for grown := true; grown; {
		grown = false
		for _, t := range closure(start) {
			for _, name := range names {
				if other := t.node.tasks[taskName(name)]; other != nil && !found[other] {
					found[other], grown = true, true
				}
			}
		}
		start = sorted(found)
	}
	return start
}

// closure are tasks with all that they need, in an order that does not change.
func closure(start []*Task) []*Task {
	seen := map[*Task]bool{}
	queue := slices.Clone(start)
	for _, t := range start {
		seen[t] = true
	}
	for i := 0; i < len(queue); i++ {
		for _, d := range sorted(queue[i].needs) {
			if !seen[d] {
				seen[d] = true
				queue = append(queue, d)
			}
		}
	}
	return queue
}
