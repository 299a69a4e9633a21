package taskgraph

import (
	"cmp"
	"strings"

	"n3x/internal/diag"
)

// ParseTargets reads words as bitbake takes them: PN, PN:do_task, mc:NAME:PN, mc:NAME:PN:do_task, with "multiconfig:" for "mc:".
// Targets that name no task get the one given; "" is build.
func ParseTargets(words []string, task string) ([]Target, error) {
	var out []Target
	for _, word := range words {
		target := Target{Name: word, Task: task}
		rest, mc := strings.CutPrefix(word, "mc:")
		if !mc {
			rest, mc = strings.CutPrefix(word, "multiconfig:")
		}
		if mc {
			name, of, found := strings.Cut(rest, ":")
			if !found || of == "" {
				return nil, diag.Userf(diag.Pos{}, "target %q names a multiconfig but no recipe", word).WithHint("write mc:<multiconfig>:<recipe>")
			}
			target.MC, target.Name = name, of
		}
		if name, of, ok := strings.Cut(target.Name, ":"); ok {
			target.Name, target.Task = name, of
		}
		target.Task = strings.TrimPrefix(cmp.Or(target.Task, "build"), "do_")
		out = append(out, target)
	}
	return out, nil
}
