package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"n3x/internal/cluster"
	"n3x/internal/diag"
	"n3x/internal/vm/qemu"
	"n3x/internal/vmtest"
)

// testFlags are the flags of `n3x test`.
type testFlags struct {
	list, schema, offline, direct, noTwins, keep, interactive bool
	junit, report, output                                     string
	images, overlays                                          []string
	parallel                                                  int
	scale                                                     float64
	seed                                                      uint64
}

// suiteFolders are where a project's suites are.
var suiteFolders = []string{"tests", "backends/isar/tests"}

func (a *app) test() *cobra.Command {
	var f testFlags
	c := &cobra.Command{
		Use:   "test [SUITE|TAG|FILE.yaml|IMAGE.wic|KAS:FILES]...",
		Short: "Boot images in virtual machines and prove that they work",
		Long: `Boot images in QEMU, wire them with a switch that enforces VLANs, and run suites: steps that must hold, and faults.

A SUITE is one of the project's (tests/*.yaml) by its name, which may be a pattern, or by a TAG, or a FILE; without any all of the project's are run. IMAGE.wic
and KAS:FILES are booted by a suite for any image. What kas files describe is built first, all at once, with qemu-guest-agent in it.

Each suite has twins in which something is broken on purpose: they show that its assertions can fail, and pass when the right one does. --list shows all suites and runs none.
Results, consoles and pictures are left in build/test-results.`,
		Example: "  n3x test --list\n  n3x test L1\n  n3x test l2-vlans --overlay kas/my-change.yml\n  n3x test l2-vlans --image server-1=disk.wic\n  n3x test kas/base.yml:kas/machine/qemu-amd64.yml:kas/image/base.yml:kas/network/simple.yml",
		RunE:    func(c *cobra.Command, args []string) error { return a.runTest(c.Context(), args, &f) },
	}
	c.Flags().BoolVar(&f.list, "list", false, "list the suites, and run none")
	c.Flags().BoolVar(&f.schema, "schema", false, "print the JSON schema of suites, for editors, and run none")
	c.Flags().StringVar(&f.junit, "junit", "", "also write the results there, as JUnit's XML")
	c.Flags().StringVar(&f.report, "report", "", "also write the results there, as one HTML page")
	c.Flags().StringVar(&f.output, "output", "", "the folder for results instead of build/test-results; what is in it of an earlier run is replaced")
	c.Flags().StringArrayVar(&f.images, "image", nil, "MACHINE=FILE.wic: boot this image instead of what kas files build (repeatable)")
	c.Flags().StringArrayVar(&f.overlays, "overlay", nil, "a kas file behind those of each machine (repeatable)")
	c.Flags().BoolVar(&f.direct, "direct", false, "for IMAGE.wic and KAS:FILES: boot kernel and initrd without firmware")
	c.Flags().BoolVar(&f.noTwins, "no-twins", false, "leave out the suites' broken twins")
	c.Flags().BoolVar(&f.keep, "keep", false, "leave the machines of a suite that fails, or of the only one, running until Ctrl-C or n3x vm stop")
	c.Flags().BoolVarP(&f.interactive, "interactive", "i", false, "boot one suite's machines and read commands: its steps one by one, faults, a shell on a machine (help lists them)")
	c.Flags().IntVar(&f.parallel, "parallel", 1, "how many suites run at once")
	c.Flags().Float64Var(&f.scale, "timeout-scale", 1, "multiply all time limits, which n3x scales by the machines' speed already")
	c.Flags().Uint64Var(&f.seed, "seed", 1, "decides which frames a lossy network loses")
	c.Flags().BoolVar(&f.offline, "offline", false, "use what was downloaded before, never the network")
	a.plain.register(c)
	return c
}

// testPlan is what is going to be run.
type testPlan struct {
	f        *testFlags
	dir      string // what kas files of suites are relative to
	suites   []*vmtest.Suite
	profiles []*cluster.Profile
}

func (f *testFlags) check() error {
	switch {
	case f.parallel < 1 || f.parallel > 64:
		return diag.Userf(diag.Pos{}, "--parallel is %d", f.parallel).WithHint("give a number from 1 to 64")
	case f.scale < 0.1 || f.scale > 1000 || f.scale != f.scale:
		return diag.Userf(diag.Pos{}, "--timeout-scale is %g", f.scale).WithHint("give a number from 0.1 to 1000; 2 makes all limits twice as long")
	case f.interactive && (f.junit != "" || f.report != "" || f.output != "" || f.keep || f.parallel != 1):
		return diag.Userf(diag.Pos{}, "--interactive has no results and one suite: it does not go with --junit, --report, --output, --keep and --parallel")
	}
	for _, file := range []string{f.junit, f.report} {
		if file == "" {
			continue
		}
		if st, err := os.Stat(file); err == nil && !st.Mode().IsRegular() {
			return diag.Userf(diag.Pos{}, "results cannot be written to %s, which is no file", file)
		}
		if err := unix.Access(filepath.Dir(file), unix.W_OK|unix.X_OK); err != nil {
			return diag.Userf(diag.Pos{}, "results cannot be written to %s: its folder: %w", file, err)
		}
	}
	return nil
}

// planTests finds the suites that the arguments mean.
func (a *app) planTests(args []string, f *testFlags) (*testPlan, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	p := &testPlan{f: f}
	var words []string
	for _, arg := range args {
		s, err := a.suiteOf(arg, f)
		if err != nil {
			return nil, err
		}
		if s == nil {
			words = append(words, arg)
			continue
		}
		p.suites = append(p.suites, s)
	}
	if words != nil || len(args) == 0 {
		dir, err := a.suiteFolder()
		if err != nil {
			return nil, err
		}
		all, err := vmtest.ReadDir(dir, a.relative)
		if err != nil {
			return nil, err
		}
		if words != nil {
			if all, err = vmtest.Choose(all, words); err != nil {
				return nil, err
			}
		}
		p.suites = append(p.suites, all...)
	}
	if len(p.suites) == 0 {
		return nil, diag.Userf(diag.Pos{}, "there is no suite to run")
	}
	for i, s := range p.suites {
		if j := slices.IndexFunc(p.suites[:i], func(o *vmtest.Suite) bool { return o.Name == s.Name }); j >= 0 {
			return nil, diag.Userf(s.Pos, "suite %s is named twice", s.Name)
		}
	}
	if err := p.change(a); err != nil {
		return nil, err
	}
	return p, p.locate(a)
}

// suiteOf is the suite that an argument is or stands for; nil when it is a word that chooses one.
func (a *app) suiteOf(arg string, f *testFlags) (*vmtest.Suite, error) {
	if strings.HasSuffix(arg, ".wic") {
		if st, err := os.Stat(arg); err != nil {
			return nil, diag.Userf(diag.Pos{}, "%w", err).WithHint("name a .wic file below build/tmp/deploy/images")
		} else if !st.Mode().IsRegular() {
			return nil, diag.Userf(diag.Pos{}, "%s is no regular file", arg)
		}
		return vmtest.Boot(strings.TrimSuffix(filepath.Base(arg), ".wic"), a.absolute(arg), nil, f.direct)
	}
	first, _, chain := strings.Cut(arg, ":")
	ext := filepath.Ext(first)
	if ext != ".yml" && ext != ".yaml" && ext != ".json" {
		if chain || strings.Contains(arg, "/") {
			return nil, diag.Userf(diag.Pos{}, "%q is neither a suite nor a .wic file nor kas files", arg)
		}
		return nil, nil
	}
	if !exists(first) {
		return nil, diag.Userf(diag.Pos{}, "%s does not exist", first)
	}
	if chain || isKas(first) {
		return a.chainSuite(arg, f)
	}
	return vmtest.ReadFile(arg, a.relative)
}

// kasHeader is the line that every kas file has, and no suite.
var kasHeader = regexp.MustCompile(`(?m)^\s*["']?header["']?\s*:`)

// isKas tells a kas file from a suite by its beginning.
func isKas(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	start := make([]byte, 64<<10)
	n, _ := io.ReadFull(f, start)
	return kasHeader.Match(start[:n])
}

// chainSuite boots what kas files build.
func (a *app) chainSuite(files string, f *testFlags) (*vmtest.Suite, error) {
	var chain []string
	for name := range strings.SplitSeq(files, ":") {
		chain = append(chain, a.absolute(name))
	}
	last := chain[len(chain)-1]
	return vmtest.Boot(strings.TrimSuffix(filepath.Base(last), filepath.Ext(last)), "", chain, f.direct)
}

// suiteFolder is the nearest folder above that has suites.
func (a *app) suiteFolder() (string, error) {
	for dir := a.dir; ; dir = filepath.Dir(dir) {
		for _, name := range suiteFolders {
			if files, _ := filepath.Glob(filepath.Join(quoteGlob(filepath.Join(dir, name)), "*.yaml")); len(files) > 0 {
				return filepath.Join(dir, name), nil
			}
		}
		if dir == filepath.Dir(dir) {
			return "", diag.Userf(diag.Pos{}, "neither %s nor a folder above it has suites (tests/*.yaml)", a.dir).
				WithHint("name a suite's file, an image or kas files")
		}
	}
}

// change puts the flags' images and overlays into the suites.
func (p *testPlan) change(a *app) error {
	for _, o := range p.f.overlays {
		for one := range strings.SplitSeq(o, ":") {
			if st, err := os.Stat(one); err != nil || !st.Mode().IsRegular() {
				return diag.Userf(diag.Pos{}, "overlay %q does not exist", one)
			}
			for _, s := range p.suites {
				for i := range s.Machines {
					s.Machines[i].Overlays = append(s.Machines[i].Overlays, a.absolute(one))
				}
			}
		}
	}
	given := map[string]bool{}
	for _, image := range p.f.images {
		name, file, ok := strings.Cut(image, "=")
		if !ok || name == "" {
			return diag.Userf(diag.Pos{}, "--image is %q", image).WithHint("write --image MACHINE=FILE.wic")
		}
		if given[name] {
			return diag.Userf(diag.Pos{}, "--image is given twice for machine %s", name)
		}
		given[name] = true
		found := false
		for _, s := range p.suites {
			for i := range s.Machines {
				if m := &s.Machines[i]; m.Name == name {
					m.Image, found = a.absolute(file), true
				}
			}
		}
		if !found {
			return diag.Unknown(diag.Pos{}, "none of the chosen suites", "machine", name, p.machines())
		}
		if st, err := os.Stat(file); err != nil || !st.Mode().IsRegular() {
			return diag.Userf(diag.Pos{}, "--image %s: %s does not exist", name, file)
		}
	}
	for _, s := range p.suites {
		for _, m := range s.Machines {
			if filepath.IsAbs(m.Image) { // of the command line
				if err := qemu.CheckImage(m.Image); err != nil {
					return err
				}
			}
			if m.Image != "" && len(p.f.overlays) > 0 {
				return diag.Userf(m.Pos, "--overlay changes what kas files build, and machine %s of suite %s has an image", m.Name, s.Name)
			}
		}
	}
	return nil
}

func (p *testPlan) machines() []string {
	var out []string
	for _, s := range p.suites {
		for _, m := range s.Machines {
			if !slices.Contains(out, m.Name) {
				out = append(out, m.Name)
			}
		}
	}
	return out
}

// locate finds the folder that the suites' kas files are relative to, and the profiles.
func (p *testPlan) locate(a *app) error {
	p.dir = a.dir
	from := ""
	for _, s := range p.suites {
		if len(s.Overlays) == 0 || filepath.IsAbs(s.Overlays[0]) {
			continue
		}
		dir := filepath.Dir(a.absolute(s.Pos.File))
		for !exists(filepath.Join(dir, s.Overlays[0])) {
			if dir == filepath.Dir(dir) {
				return diag.Userf(s.Pos, "no folder above the suite has %s", s.Overlays[0])
			}
			dir = filepath.Dir(dir)
		}
		if from != "" && p.dir != dir {
			return diag.Userf(s.Pos, "the suite's kas files are in %s, and those of %s in %s", a.relative(dir), from, a.relative(p.dir)).WithHint("run the suites of one project at a time")
		}
		p.dir, from = dir, s.Pos.File
	}
	if !slices.ContainsFunc(p.suites, func(s *vmtest.Suite) bool { return s.Profile != "" }) {
		return nil
	}
	root, err := a.projectRoot()
	if err != nil {
		return err
	}
	p.profiles, err = cluster.ReadDir(filepath.Join(root, cluster.DefaultLayout.Profiles), a.relative)
	return err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (a *app) runTest(ctx context.Context, args []string, f *testFlags) error {
	if f.schema {
		_, err := a.stdout.Write(vmtest.Schema())
		return err
	}
	p, err := a.planTests(args, f)
	if err != nil {
		return err
	}
	if f.list {
		return a.listSuites(p.suites)
	}
	if f.interactive {
		return a.interactiveTest(ctx, p)
	}
	return a.runSuites(ctx, p)
}

// interactiveTest leaves a suite's machines and steps to the user.
func (a *app) interactiveTest(ctx context.Context, p *testPlan) error {
	if len(p.suites) != 1 {
		return diag.Userf(diag.Pos{}, "--interactive drives the machines of one suite, and these are %d", len(p.suites)).WithHint("name one: n3x test --list")
	}
	place, err := a.place()
	if err != nil {
		return err
	}
	return a.runPlannedVM(ctx, &vmPlan{f: &vmFlags{test: *p.f, prompt: true}, plan: p, suite: p.suites[0], place: place})
}

func (a *app) listSuites(suites []*vmtest.Suite) error {
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	for _, s := range suites {
		text := s.Description
		if s.Needs != nil {
			text += " (needs " + strings.Join(s.Needs, ", ") + ")"
		}
		fmt.Fprintf(w, "%s\t%s\t%d machines, %d steps, %d twins\t%s\n", s.Name, strings.Join(s.Tags, ","), len(s.Machines), len(s.Steps), len(s.Twins), text)
	}
	return w.Flush()
}
