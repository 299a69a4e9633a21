package cli

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"n3x/internal/build"
	"n3x/internal/cpython"
	"n3x/internal/diag"
	"n3x/internal/sandbox"
)

// pythonPackages are what real CPython consists of.
var pythonPackages = []string{"python3"}

// launcher starts real CPython: the program that N3X_PYTHON names, else Debian's python3 of a tools tree.
type launcher struct{ a *app }

// Python implements [cpython.Launcher].
func (l launcher) Python(ctx context.Context, reason string) (argv, env []string, err error) {
	if program := l.a.env["N3X_PYTHON"]; program != "" {
		if _, err := sandbox.LookPath(program); err != nil {
			return nil, nil, diag.Userf(diag.Pos{}, "N3X_PYTHON names %s, which cannot be run: %w", program, err).
				WithHint("unset it to use Debian's python3, or name a python3 of version 3.9 or newer")
		}
		return []string{program}, []string{"PATH=" + l.a.env["PATH"]}, nil
	}
	dir, err := l.a.pythonTree(ctx, reason)
	if err != nil {
		return nil, nil, err
	}
	return cpython.InTree(dir, l.a.env["PATH"])
}

// pythonTree gives the folder that holds Debian's python3, which is made when it is missing: by this process when it is
// inside the sandbox, else by another one.
func (a *app) pythonTree(ctx context.Context, reason string) (string, error) {
	if dir, err := build.FindTools(a.env, pythonPackages); err != nil || dir != "" {
		return dir, err
	}
	fmt.Fprintf(a.stderr, "NOTE: preparing Debian's python3, since %s\n", reason)
	if inside() {
		layers, err := build.Tools(ctx, build.Options{}, a.env, pythonPackages)
		if err != nil {
			return "", err
		}
		return layers[0], nil
	}
	var out bytes.Buffer
	cmd := &sandbox.Cmd{Host: true, Argv: append([]string{"/proc/self/exe", "tools"}, pythonPackages...), Stdout: &out, Stderr: a.stderr}
	if err := cmd.Run(ctx); err != nil {
		return "", fmt.Errorf("prepare python3: %w", err)
	}
	return strings.TrimSpace(out.String()), nil
}

// tools prints the folder of a tools tree, which is made when it is missing.
func (a *app) tools() *cobra.Command {
	return &cobra.Command{
		Use:    "tools PACKAGE...",
		Short:  "Print the folder that holds these Debian packages and all they need, for this machine",
		Args:   cobra.MinimumNArgs(1),
		Hidden: true,
		RunE: func(c *cobra.Command, args []string) error {
			if dir, err := build.FindTools(a.env, args); err == nil && dir != "" {
				_, err = fmt.Fprintln(a.stdout, dir)
				return err
			}
			in, err := a.enter()
			if err != nil || !in {
				return err
			}
			layers, err := build.Tools(c.Context(), build.Options{}, a.env, args)
			if err != nil {
				return err
			}
			if len(layers) != 1 {
				return diag.Failedf(diag.Pos{}, "BUG: a tools tree of %d folders", len(layers))
			}
			_, err = fmt.Fprintln(a.stdout, layers[0])
			return err
		},
	}
}
