package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"n3x/internal/bitbake/recipe"
	"n3x/internal/build"
	"n3x/internal/diag"
	"n3x/internal/layers"
	"n3x/internal/metadata"
)

// layersFlags are those that all commands of bitbake-layers take.
type layersFlags struct {
	debug, quiet bool
	force        int
	color        string
}

// layersCall is one call of bitbake-layers.
type layersCall struct {
	*app
	f    layersFlags
	conf layers.Conf
}

// bitbakeLayers is the program bitbake-layers: its commands are verbs below it.
func (a *app) bitbakeLayers() *cobra.Command {
	call := &layersCall{app: a}
	root := &cobra.Command{
		Use:   "bitbake-layers COMMAND",
		Short: "List a build folder's layers, their recipes and appends; add and remove layers",
		Example: `  bitbake-layers show-layers
  bitbake-layers show-recipes "linux-*"
  bitbake-layers add-layer ../meta-mine`,
		Args: cobra.ArbitraryArgs,
	}
	root.RunE = func(c *cobra.Command, args []string) error { return noLayersCommand(root, args) }
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return diag.Userf(diag.Pos{}, "%w", err).WithHint("%s --help lists the flags", c.CommandPath())
	})
	f := root.PersistentFlags()
	f.BoolVarP(&call.f.debug, "debug", "d", false, "accepted; nothing more is printed")
	f.BoolVarP(&call.f.quiet, "quiet", "q", false, "print errors only")
	f.CountVarP(&call.f.force, "force", "F", "add layers without checking that the configuration parses with them")
	f.StringVar(&call.f.color, "color", "auto", "accepted (auto, always, never); output has no colours")
	root.AddCommand(call.showLayers(), call.showRecipes(), call.showOverlayed(), call.showAppends(), call.showCrossDepends(), call.showMachines(),
		call.addLayer(), call.removeLayer(), call.createLayer(), call.flatten())
	root.AddCommand(refusedLayersCommands()...)
	for _, c := range root.Commands() {
		c.Flags().SetNormalizeFunc(abbreviated)
		call.wrap(c)
	}
	return root
}

// wrap runs a command with the statuses of the original: 1 when it fails, 2 when it was called wrongly.
func (l *layersCall) wrap(c *cobra.Command) {
	run, check := c.RunE, c.Args
	c.Args = func(c *cobra.Command, args []string) error {
		if check == nil {
			return nil
		}
		if err := check(c, args); err != nil {
			return diag.Userf(diag.Pos{}, "bitbake-layers %s: %s", c.Name(), strings.ReplaceAll(err.Error(), "arg(s)", "arguments")).
				WithHint("bitbake-layers %s --help", c.Name())
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		if !slices.Contains([]string{"auto", "always", "never"}, l.f.color) {
			return diag.Userf(diag.Pos{}, "--color is %q", l.f.color).WithHint("choose auto, always or never")
		}
		if l.conf, err = l.findConf(); err == nil {
			err = run(c, args)
		}
		if err == nil || l.ctx.Err() != nil {
			return err
		}
		var failure *layers.ParseFailure
		if errors.As(err, &failure) {
			l.render(failure.Err)
			err = diag.Failedf(diag.Pos{}, "%s", failure.Error())
		}
		l.render(err)
		l.status = 1
		return nil
	}
}

// abbreviated lets long flags be shortened as long as it is clear which is meant, as Python's argparse does.
func abbreviated(f *pflag.FlagSet, name string) pflag.NormalizedName {
	var found []string
	exact := false
	f.VisitAll(func(flag *pflag.Flag) {
		exact = exact || flag.Name == name
		if strings.HasPrefix(flag.Name, name) {
			found = append(found, flag.Name)
		}
	})
	if !exact && len(found) == 1 {
		return pflag.NormalizedName(found[0])
	}
	return pflag.NormalizedName(name)
}

func noLayersCommand(root *cobra.Command, args []string) error {
	var names []string
	for _, c := range root.Commands() {
		names = append(names, c.Name())
	}
	if len(args) == 0 {
		return diag.Userf(diag.Pos{}, "no command is named").WithHint("one of %s", strings.Join(names, ", "))
	}
	e := diag.Userf(diag.Pos{}, "bitbake-layers has no command %q", args[0])
	if near := diag.Nearest(args[0], names); near != "" {
		return e.WithHint("did you mean %s?", near)
	}
	return e.WithHint("one of %s", strings.Join(names, ", "))
}

// refusedLayersCommands are those that need a server on the network, or copy OpenEmbedded's own way of setting up.
func refusedLayersCommands() []*cobra.Command {
	var out []*cobra.Command
	for name, why := range map[string][2]string{
		"layerindex-fetch":        {"the layer index is a server on the network", "add the layer's repository to a kas file, or clone it and use `bitbake-layers add-layer`"},
		"layerindex-show-depends": {"the layer index is a server on the network", "LAYERDEPENDS in the layer's conf/layer.conf says what it needs"},
		"save-build-conf":         {"templates of build folders (TEMPLATECONF) are OpenEmbedded's", "keep the configuration in a kas file"},
		"create-layers-setup":     {"its setup script is OpenEmbedded's", "keep the repositories in a kas file; `kas lock` pins their commits"},
	} {
		out = append(out, &cobra.Command{
			Use: name, Hidden: true, DisableFlagParsing: true,
			RunE: func(*cobra.Command, []string) error {
				return diag.Userf(diag.Pos{}, "bitbake-layers %s is not supported: %s", name, why[0]).WithHint("%s", why[1])
			},
		})
	}
	return out
}

// findConf finds the build folder: as the original does, then by BUILDDIR.
func (l *layersCall) findConf() (layers.Conf, error) {
	conf, err := layers.FindConf(l.dir, l.env)
	if dir := l.env["BUILDDIR"]; err != nil && dir != "" {
		if found, e := layers.FindConf(dir, nil); e == nil {
			found.Home = l.env["HOME"]
			return found, nil
		}
	}
	return conf, err
}

// out is where lists go.
func (l *layersCall) out() io.Writer {
	if l.f.quiet {
		return io.Discard
	}
	return l.stdout
}

// open reads the metadata, without recipes if these are not needed.
func (l *layersCall) open(ctx context.Context, configOnly bool, buffers ...recipe.Overlay) (*metadata.Opened, error) {
	o := l.metadataOptions(build.Options{TopDir: l.conf.TopDir, Env: l.env})
	o.ConfigOnly, o.Buffers = configOnly, buffers
	opened, err := metadata.Open(ctx, o)
	if opened != nil && !l.f.quiet {
		l.tell(opened, 1)
	}
	return opened, err
}

// question is a command that lists something.
func (l *layersCall) question(use, short string, args cobra.PositionalArgs, configOnly bool, ask func(t *layers.Tool, args []string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: args, RunE: func(c *cobra.Command, args []string) error {
		opened, err := l.open(c.Context(), configOnly)
		if opened != nil {
			defer opened.Close()
		}
		if err != nil {
			return err
		}
		if !l.f.quiet && opened.Why != "" {
			fmt.Fprintln(l.stderr, "NOTE: "+opened.Why)
		}
		t, err := layers.New(opened.World, l.out())
		if err != nil {
			return err
		}
		return ask(t, args)
	}}
}

func (l *layersCall) showLayers() *cobra.Command {
	return l.question("show-layers", "List the layers with their folders and priorities", cobra.NoArgs, true, func(t *layers.Tool, _ []string) error {
		t.ShowLayers()
		return nil
	})
}

func (l *layersCall) showRecipes() *cobra.Command {
	var o layers.RecipeOptions
	var inherits string
	c := l.question("show-recipes [PATTERN...]", "List recipes with their versions by layer, the preferred one first", cobra.ArbitraryArgs, false,
		func(t *layers.Tool, args []string) error {
			o.Names = args
			if inherits != "" {
				o.Inherits = strings.Split(inherits, ",")
			}
			return t.ShowRecipes(o)
		})
	f := c.Flags()
	f.BoolVarP(&o.Filenames, "filenames", "f", false, "list files, those of lower preference indented")
	f.BoolVarP(&o.NamesOnly, "recipes-only", "r", false, "list names only")
	f.BoolVarP(&o.Multiple, "multiple", "m", false, "only names with several recipes")
	f.StringVarP(&inherits, "inherits", "i", "", "only recipes that inherit these classes (separated by commas)")
	f.StringVarP(&o.Layer, "layer", "l", "", "only recipes of the layer in a folder of this name")
	f.BoolVarP(&o.Bare, "bare", "b", false, "do not say which recipes are skipped")
	f.BoolVar(&o.Variants, "show-variants", false, "list BBCLASSEXTEND variants too")
	f.StringVar(&o.MC, "mc", "", "of this multiconfig")
	return c
}

func (l *layersCall) showOverlayed() *cobra.Command {
	var o layers.OverlayOptions
	c := l.question("show-overlayed", "List recipes and classes that several layers have", cobra.NoArgs, false,
		func(t *layers.Tool, _ []string) error { return t.ShowOverlayed(o) })
	f := c.Flags()
	f.BoolVarP(&o.Filenames, "filenames", "f", false, "list files, those of lower preference indented")
	f.BoolVarP(&o.SameVersion, "same-version", "s", false, "only recipes that have the same version everywhere")
	f.StringVar(&o.MC, "mc", "", "of this multiconfig")
	return c
}

func (l *layersCall) showAppends() *cobra.Command {
	var o layers.AppendOptions
	c := l.question("show-appends [PATTERN...]", "List recipe files with the .bbappend files for them", cobra.ArbitraryArgs, false,
		func(t *layers.Tool, args []string) error {
			o.Names = args
			return t.ShowAppends(o)
		})
	c.Flags().StringVar(&o.MC, "mc", "", "of this multiconfig")
	return c
}

func (l *layersCall) showCrossDepends() *cobra.Command {
	var o layers.CrossOptions
	var ignore string
	c := l.question("show-cross-depends", "List what recipes and files need from another layer than their own", cobra.NoArgs, false,
		func(t *layers.Tool, _ []string) error {
			o.Ignore = strings.Split(ignore, ",")
			return t.ShowCrossDepends(o)
		})
	c.Flags().BoolVarP(&o.Filenames, "filenames", "f", false, "show whole paths")
	c.Flags().StringVarP(&ignore, "ignore", "i", "", "what is needed from the layers in folders of these names does not count (separated by commas)")
	return c
}

func (l *layersCall) showMachines() *cobra.Command {
	var layer string
	var bare bool
	c := l.question("show-machines", "List the machines that the layers describe", cobra.NoArgs, true, func(t *layers.Tool, _ []string) error {
		t.ShowMachines(layer, bare)
		return nil
	})
	c.Flags().BoolVarP(&bare, "bare", "b", false, "names only, without their layers")
	c.Flags().StringVarP(&layer, "layer", "l", "", "only machines of the layer in a folder of this name")
	return c
}

func (l *layersCall) addLayer() *cobra.Command {
	return &cobra.Command{
		Use: "add-layer FOLDER...", Short: "Add layers to BBLAYERS, if the configuration parses with them", Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return l.add(c.Context(), args) },
	}
}

func (l *layersCall) add(ctx context.Context, dirs []string) error {
	o := layers.AddOptions{Dir: l.dir, Layers: dirs}
	if l.f.force == 0 {
		o.Verify = func(ctx context.Context, changed recipe.Overlay) error {
			opened, err := l.open(ctx, true, changed)
			if opened != nil {
				opened.Close()
			}
			return err
		}
	}
	already, err := l.conf.Add(ctx, o)
	for _, dir := range already {
		fmt.Fprintf(l.stderr, "Specified layer %s is already in BBLAYERS\n", dir)
	}
	return err
}

func (l *layersCall) removeLayer() *cobra.Command {
	return &cobra.Command{
		Use: "remove-layer FOLDER...", Short: "Remove layers from BBLAYERS: folders, their names, or patterns in quotes", Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			unmatched, err := l.conf.Remove(l.dir, args)
			if err != nil {
				return err
			}
			for _, p := range unmatched {
				fmt.Fprintf(l.stderr, "No layers matching %s found in BBLAYERS\n", p)
				err = diag.ErrReported
			}
			return err
		},
	}
}

func (l *layersCall) createLayer() *cobra.Command {
	var add bool
	n := layers.NewLayer{}
	c := &cobra.Command{
		Use: "create-layer FOLDER", Short: "Create a layer with an example recipe", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			n.Dir = args[0]
			if !filepath.IsAbs(n.Dir) {
				n.Dir = filepath.Join(l.dir, n.Dir)
			}
			n.Dir = filepath.Clean(n.Dir)
			if _, err := os.Lstat(n.Dir); err != nil {
				opened, err := l.open(c.Context(), true)
				if opened != nil {
					defer opened.Close()
				}
				if err != nil {
					return err
				}
				if n.Series, err = opened.Base("").Value("LAYERSERIES_CORENAMES"); err != nil {
					return err
				}
			}
			if err := layers.Create(n); err != nil {
				return err
			}
			if !add {
				fmt.Fprintf(l.out(), "Add your new layer with 'bitbake-layers add-layer %s'\n", args[0])
				return nil
			}
			if err := l.add(c.Context(), []string{n.Dir}); err != nil {
				return err
			}
			fmt.Fprintf(l.out(), "Layer added ['%s']\n", n.Dir)
			return nil
		},
	}
	f := c.Flags()
	f.BoolVarP(&add, "add-layer", "a", false, "add it to BBLAYERS")
	f.StringVarP(&n.ID, "layerid", "i", "", "its name in BBFILE_COLLECTIONS, if not that of the folder")
	f.StringVarP(&n.Priority, "priority", "p", "6", "the priority of its recipes")
	f.StringVarP(&n.Recipe, "example-recipe-name", "e", "example", "the name of the example recipe")
	f.StringVarP(&n.Version, "example-recipe-version", "v", "0.1", "the version of the example recipe")
	return c
}

func (l *layersCall) flatten() *cobra.Command {
	return l.question("flatten [LAYER...] FOLDER", "Copy layers (default: all) into one, without overlayed recipes and with appends applied",
		cobra.MinimumNArgs(1), false, func(t *layers.Tool, args []string) error {
			return t.Flatten(layers.FlattenOptions{Layers: args[:len(args)-1], Output: args[len(args)-1], Dir: l.dir})
		})
}
