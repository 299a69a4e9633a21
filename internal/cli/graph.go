package cli

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"n3x/internal/atomicfile"
	"n3x/internal/build"
	"n3x/internal/diag"
	"n3x/internal/metadata"
	"n3x/internal/siginfo"
	"n3x/internal/taskgraph"
)

// graphFiles writes the files of `bitbake -g` into the current folder, or those of `bitbake -S`.
func (a *app) graphFiles(opened *metadata.Opened, o build.Options, f *bitbakeFlags, words []string) error {
	w := build.Assume(opened.World, f.ignoreDeps)
	req := taskgraph.Request{KeepGoing: f.keepGoing, Incomplete: f.graph, RunAll: f.runAll, RunOnly: f.runOnly}
	var err error
	if req.Targets, err = taskgraph.Targets(w, words, f.task); err != nil {
		return err
	}
	if len(words) == 0 {
		return diag.Userf(diag.Pos{}, "bitbake: nothing to do: no target is named").WithHint("name a recipe, e.g. `bitbake -g hello`")
	}
	g, err := taskgraph.Make(w, req)
	if err != nil {
		return err
	}
	if f.graph {
		err = a.dotFiles(g)
	} else {
		err = a.signatureFiles(g, opened, o, f)
	}
	return errors.Join(append(g.Problems, err)...)
}

func (a *app) dotFiles(g *taskgraph.Graph) error {
	for _, file := range []struct {
		name, note string
		write      func(io.Writer) error
	}{{"pn-buildlist", "PN build list saved to 'pn-buildlist'", g.BuildList}, {"task-depends.dot", "Task dependencies saved to 'task-depends.dot'", g.Dot}} {
		if err := atomicfile.WriteFrom(filepath.Join(a.dir, file.name), 0o644, file.write); err != nil {
			return err
		}
		fmt.Fprintln(a.stdout, "NOTE: "+file.note)
	}
	return nil
}

func (a *app) signatureFiles(g *taskgraph.Graph, opened *metadata.Opened, o build.Options, f *bitbakeFlags) error {
	if err := siginfo.Sign(g, opened.World, o.TopDir); err != nil {
		return err
	}
	values, err := siginfo.Values(opened.World)
	if err != nil {
		return err
	}
	for _, how := range f.signatures {
		switch how {
		case "none":
		case "printdiff":
			lines, err := siginfo.PrintDiff(g)
			if err != nil {
				return err
			}
			for _, l := range lines {
				fmt.Fprintln(a.stdout, l)
			}
		default:
			return diag.Userf(diag.Pos{}, "bitbake: there is no way %q to write signatures", how).WithHint("-S none, or -S printdiff")
		}
	}
	fmt.Fprintln(a.stdout, "NOTE: Writing task signature files")
	_, err = siginfo.WriteAll(g, values)
	return err
}
