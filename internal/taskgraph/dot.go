package taskgraph

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
)

// qualified is how `bitbake -g` names a recipe: PN, with the multiconfig before it.
func (t *Task) qualified() string { return target(t.Recipe.MC, t.Recipe.PN) }

// BuildList writes what `bitbake -g` writes as pn-buildlist: a line for each recipe of the graph.
func (g *Graph) BuildList(w io.Writer) error {
	out := bufio.NewWriter(w)
	seen := map[string]bool{}
	for _, t := range slices.Backward(g.Tasks) { // the targets first
		if name := t.qualified(); !seen[name] {
			seen[name] = true
			fmt.Fprintln(out, name)
		}
	}
	return out.Flush()
}

// Dot writes what `bitbake -g` writes as task-depends.dot: a labelled node for each task, followed by its edges, sorted.
func (g *Graph) Dot(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, "digraph depends {")
	name := func(t *Task) string { return t.qualified() + "." + t.Name }
	tasks := slices.SortedFunc(slices.Values(g.Tasks), func(a, b *Task) int { return strings.Compare(name(a), name(b)) })
	for i := 0; i < len(tasks); {
		t := tasks[i]
		var needs []string
		// Tasks of two recipes can have one name; BitBake then shows the edges of both as the first one's.
		for ; i < len(tasks) && name(tasks[i]) == name(t); i++ {
			for _, d := range tasks[i].DependsOn {
				needs = append(needs, name(d))
			}
		}
		slices.Sort(needs)
		r := t.Recipe
		fmt.Fprintf(out, "\"%s\" [label=\"%s %s\\n%s:%s-%s\\n%s\"]\n", name(t), t.qualified(), t.Name, r.PE, r.PV, r.PR, r.Name())
		for _, d := range needs {
			fmt.Fprintf(out, "\"%s\" -> \"%s\"\n", name(t), d)
		}
	}
	fmt.Fprintln(out, "}")
	return out.Flush()
}
