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
func (a *app) graphFiles(out io.Writer, opened *metadata.Opened, o build.Options, f *bitbakeFlags) error {
	o.Incomplete = f.graph
	g, err := o.Graph(opened.World)
	if err != nil {
		return err
	}
	if f.graph {
		err = dotFiles(out, o.Dir, g)
	} else {
		err = signatureFiles(out, g, opened, o, f)
	}
	return errors.Join(append(g.Problems, err)...)
}

func dotFiles(out io.Writer, dir string, g *taskgraph.Graph) error {
	for _, file := range []struct {
		name, note string
		write      func(io.Writer) error
	}{{"pn-buildlist", "PN build list saved to 'pn-buildlist'", g.BuildList}, {"task-depends.dot", "Task dependencies saved to 'task-depends.dot'", g.Dot}} {
		if err := atomicfile.WriteFrom(filepath.Join(dir, file.name), 0o644, file.write); err != nil {
			return err
		}
		fmt.Fprintln(out, "NOTE: "+file.note)
	}
	return nil
}

func signatureFiles(out io.Writer, g *taskgraph.Graph, opened *metadata.Opened, o build.Options, f *bitbakeFlags) error {
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
				fmt.Fprintln(out, l)
			}
		default:
			return diag.Userf(diag.Pos{}, "bitbake: there is no way %q to write signatures", how).WithHint("-S none, or -S printdiff")
		}
	}
	fmt.Fprintln(out, "NOTE: Writing task signature files")
	_, err = siginfo.WriteAll(g, values)
	return err
}
