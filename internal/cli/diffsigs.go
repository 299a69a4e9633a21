package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"n3x/internal/build"
	"n3x/internal/diag"
	"n3x/internal/metadata"
	"n3x/internal/siginfo"
	"n3x/internal/taskgraph"
)

// diffsigsArgs are the arguments of bitbake-diffsigs; two of its options take two words each.
type diffsigsArgs struct {
	files            []string
	task, signatures []string // none, or two words
	dump             bool
}

func parseDiffsigs(args []string) (*diffsigsArgs, error) {
	d := &diffsigsArgs{}
	for i := 0; i < len(args); i++ {
		words := func(what string) ([]string, error) {
			if i+2 >= len(args) {
				return nil, diag.Userf(diag.Pos{}, "bitbake-diffsigs: %s takes two words, %s", args[i], what).WithHint("e.g. bitbake-diffsigs -t hello do_install")
			}
			i += 2
			return args[i-1 : i+1], nil
		}
		var err error
		switch arg := args[i]; {
		case arg == "-t" || arg == "--task":
			d.task, err = words("a recipe and a task")
		case arg == "-s" || arg == "--signature":
			d.signatures, err = words("the signature to start from and the one to compare with")
		case arg == "-d" || arg == "--dump":
			d.dump = true
		case arg == "-c" || arg == "--color":
			i++ // nothing is coloured
		case arg == "-D" || arg == "--debug" || strings.HasPrefix(arg, "--color="):
		case strings.HasPrefix(arg, "-"):
			err = diag.Userf(diag.Pos{}, "bitbake-diffsigs: unknown flag %s", arg).WithHint("bitbake-diffsigs --help lists the flags")
		default:
			d.files = append(d.files, arg)
		}
		if err != nil {
			return nil, err
		}
	}
	if d.signatures != nil && d.task == nil {
		return nil, diag.Userf(diag.Pos{}, "bitbake-diffsigs: -s can only be used together with -t").WithHint("add -t RECIPE TASK")
	}
	return d, nil
}

// diffsigs compares what two signatures were made of.
func (a *app) diffsigs() *cobra.Command {
	return &cobra.Command{
		Use:   "bitbake-diffsigs [FILE [FILE]]",
		Short: "Explain why the signatures of two runs of a task differ",
		Long: `Explain why two signatures of a task differ; dump one when one is given.

  -t, --task RECIPE TASK      the two newest ones of a task
  -s, --signature FROM TO     with -t: those that begin so, instead
  -d, --dump                  with -t: dump the newest`,
		Example:            "  bitbake-diffsigs tmp/stamps/.../1.0-r0.do_install.sigdata.{1a...,2b...}\n  bitbake-diffsigs -t hello do_install",
		DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			if slices.Contains(args, "-h") || slices.Contains(args, "--help") {
				return c.Help()
			}
			d, err := parseDiffsigs(args)
			if err != nil {
				return err
			}
			return a.runDiffsigs(c.Context(), d)
		},
	}
}

func (a *app) runDiffsigs(ctx context.Context, d *diffsigsArgs) error {
	files := d.files
	if d.task != nil {
		wanted := d.signatures
		if d.dump {
			wanted = []string{""}
		}
		var err error
		if files, err = a.storedSignatures(ctx, d.task[0], d.task[1], wanted); err != nil {
			return err
		}
	}
	switch {
	case len(files) == 1 || len(files) == 2 && d.dump:
		return a.dumpSignature(files[0])
	case len(files) == 2:
		return a.compareSignatures(files[0], files[1])
	}
	return diag.Userf(diag.Pos{}, "bitbake-diffsigs: two signature files are compared, not %d", len(files)).
		WithHint("name two files, or use -t RECIPE TASK for the two newest of a task")
}

func (a *app) compareSignatures(from, to string) error {
	before, err := siginfo.Read(a.path(from))
	if err != nil {
		return err
	}
	after, err := siginfo.Read(a.path(to))
	if err != nil {
		return err
	}
	lines, err := siginfo.Compare(before, after)
	for _, l := range lines {
		fmt.Fprintln(a.stdout, l)
	}
	return err
}

// path is a file named on the command line.
func (a *app) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(a.dir, name)
}

// storedSignatures are the two newest signature files of a task, the older first, or those with the signatures given.
func (a *app) storedSignatures(ctx context.Context, recipe, task string, signatures []string) ([]string, error) {
	dir, err := a.buildFolder()
	if err != nil {
		return nil, err
	}
	opened, err := metadata.Open(ctx, a.metadataOptions(build.Options{TopDir: dir, Env: a.env}))
	if opened == nil {
		return nil, err
	}
	defer opened.Close()
	targets, err := taskgraph.Targets(opened.World, []string{recipe}, task)
	if err != nil {
		return nil, err
	}
	g, err := taskgraph.Make(opened.World, taskgraph.Request{Targets: targets, Incomplete: true})
	if err != nil {
		return nil, err
	}
	stamp, err := siginfo.Stamp(g.Targets[0])
	if err != nil {
		return nil, err
	}
	list, err := siginfo.Latest(stamp)
	if err != nil {
		return nil, err
	}
	if len(signatures) > 0 {
		return chosenSignatures(list, signatures)
	}
	if len(list) < 2 {
		return nil, diag.Userf(diag.Pos{}, "%d signatures of %s of %s are stored; two are needed", len(list), g.Targets[0].Name, recipe).
			WithHint("`bitbake -S none %s` stores the present one", recipe)
	}
	return []string{list[1], list[0]}, nil
}

func chosenSignatures(list, signatures []string) ([]string, error) {
	var out []string
	for _, s := range signatures {
		for _, file := range list {
			if strings.HasPrefix(file[strings.LastIndexByte(file, '.')+1:], s) {
				out = append(out, file)
				break
			}
		}
	}
	if len(out) != len(signatures) {
		return nil, diag.Userf(diag.Pos{}, "no stored signature of the task begins with one of %s", strings.Join(signatures, ", "))
	}
	return out, nil
}
