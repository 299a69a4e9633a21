package query

import (
	"context"

	"n3x/internal/diag"
	"n3x/internal/taskgraph"
)

// graph gives the tasks that building targets takes, each after those that it needs.
func (s *server) graph(ctx context.Context, r *request) (answer, error) {
	f, err := s.folder(ctx, r)
	if err != nil {
		return nil, err
	}
	if len(r.Targets) == 0 {
		return nil, diag.Userf(diag.Pos{}, "the request names no targets").WithHint(`add "targets": ["hello"]`)
	}
	targets, err := taskgraph.Targets(f.World, r.Targets, r.Task)
	if err != nil {
		return nil, err
	}
	g, err := taskgraph.Make(f.World, taskgraph.Request{Targets: targets, Incomplete: true, RunAll: r.RunAll, RunOnly: r.RunOnly})
	if err != nil {
		return nil, err
	}
	if r.Inputs {
		if err := g.Sign(taskgraph.Options{}); err != nil {
			return nil, err
		}
	}
	all := []any{}
	for _, t := range g.Tasks {
		needs := []string{}
		for _, d := range t.DependsOn {
			needs = append(needs, d.ID())
		}
		one := map[string]any{"id": t.ID(), "mc": t.Recipe.MC, "pn": t.Recipe.PN, "file": t.Recipe.File, "task": t.Name, "needs": needs,
			"noexec": t.NoExec, "nostamp": t.NoStamp}
		if r.Inputs {
			inputs := []any{}
			for _, in := range t.Inputs {
				inputs = append(inputs, map[string]any{"name": in.Name, "digest": in.Digest})
			}
			one["signature"], one["inputs"] = t.Signature, inputs
		}
		all = append(all, one)
	}
	problems := []*fault{}
	for _, p := range g.Problems {
		problems = append(problems, describe(p))
	}
	return answer{"tasks": all, "problems": problems}, nil
}
