package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"n3x/internal/cluster"
	"n3x/internal/diag"
	"n3x/internal/matrix"
)

// matrixFile is the name of a matrix's definition, and projectMatrix where it is below a project's folder.
const (
	matrixFile    = "matrix.yaml"
	projectMatrix = "backends/isar/" + matrixFile
)

// matrixFlags are the flags of `n3x matrix`.
type matrixFlags struct {
	matrix.Filter
	dryRun, offline bool
	overlays        []string
}

func (f *matrixFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.Machine, "machine", "", "one machine's variants only, e.g. qemuamd64")
	c.Flags().StringVar(&f.Role, "role", "", "one role's variants only: base, server, agent")
	c.Flags().StringVar(&f.Profile, "profile", "", "variants with this profile only")
	c.Flags().StringVar(&f.Node, "node", "", "variants of this node only, in each profile that has it")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "show what would be done, and change nothing")
}

func (a *app) matrix() *cobra.Command {
	c := &cobra.Command{
		Use:   "matrix",
		Short: "All images of the project: what there is, built in one go, and verified",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.matrixList(), a.matrixBuild(), a.matrixVerify())
	return c
}

func (a *app) matrixList() *cobra.Command {
	var f matrixFlags
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the variants and their files",
		Example: "  n3x matrix list\n  n3x matrix list --role server --profile simple --dry-run",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			m, err := a.openMatrix(&f)
			if err != nil {
				return err
			}
			if f.dryRun {
				return m.showChains()
			}
			width, files := 0, 0
			for _, v := range m.chosen {
				width = max(width, len(v.ID()))
				files += len(v.Files)
			}
			for _, v := range m.chosen {
				names := make([]string, len(v.Files))
				for i, ext := range v.Files {
					names[i] = v.File(ext)
				}
				fmt.Fprintf(a.stdout, "%-*s  %s\n", width, v.ID(), strings.Join(names, " "))
			}
			fmt.Fprintf(a.stderr, "%d variants, %d files\n", len(m.chosen), files)
			return nil
		},
	}
	f.register(c)
	return c
}

// theMatrix is a definition with the project's profiles.
type theMatrix struct {
	a      *app
	f      *matrixFlags
	def    *matrix.Definition
	dir    string // of the definition: overlays are relative to it
	all    []matrix.Variant
	chosen []matrix.Variant
}

// openMatrix reads the definition of the project around the current folder, and chooses what the flags ask for.
func (a *app) openMatrix(f *matrixFlags) (*theMatrix, error) {
	file, err := a.findMatrix()
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, diag.Userf(diag.Pos{}, "read the matrix: %w", err)
	}
	m := &theMatrix{a: a, f: f, dir: filepath.Dir(file)}
	if m.def, err = matrix.Read(a.relative(file), data); err != nil {
		return nil, err
	}
	profiles, err := cluster.ReadDir(filepath.Join(m.dir, m.def.Profiles), a.relative)
	if err != nil {
		return nil, err
	}
	if !inside() {
		for _, word := range m.def.Stale(profiles) {
			fmt.Fprintf(a.stderr, "%s: warning: %s leaves out %s, which no profile has\n", a.name, m.def.File, word)
		}
	}
	m.all = m.def.Variants(profiles)
	if err := m.def.Clash(m.all); err != nil {
		return nil, err
	}
	m.chosen, err = m.def.Choose(m.all, f.Filter)
	return m, err
}

// findMatrix is the definition of the nearest folder above that has one, or is the root of a project that does.
func (a *app) findMatrix() (string, error) {
	for dir := a.dir; ; dir = filepath.Dir(dir) {
		for _, name := range []string{matrixFile, projectMatrix} {
			if st, err := os.Stat(filepath.Join(dir, name)); err == nil && st.Mode().IsRegular() {
				return filepath.Join(dir, name), nil
			}
		}
		if dir == filepath.Dir(dir) {
			return "", diag.Userf(diag.Pos{}, "neither %s nor a folder above it has a %s", a.dir, matrixFile).WithHint("run this in a checkout of the project")
		}
	}
}

// chain are a variant's overlays with those of --overlay, relative to the definition's folder.
func (m *theMatrix) chain(v matrix.Variant) ([]string, error) {
	out := append([]string{}, v.Overlays...)
	for _, o := range m.f.overlays {
		for one := range strings.SplitSeq(o, ":") {
			// Named as the shell completes it, or as the matrix does.
			if rel, err := filepath.Rel(m.dir, m.a.absolute(one)); err == nil {
				if _, err := os.Stat(m.a.absolute(one)); err == nil {
					one = rel
				}
			}
			if _, err := os.Stat(filepath.Join(m.dir, one)); err != nil || one == "" {
				return nil, diag.Userf(diag.Pos{}, "overlay %q does not exist", one).WithHint("it is looked up here and in %s", m.a.relative(m.dir))
			}
			out = append(out, one)
		}
	}
	return out, nil
}

// showChains prints how each variant would be built by itself.
func (m *theMatrix) showChains() error {
	for _, v := range m.chosen {
		chain, err := m.chain(v)
		if err != nil {
			return err
		}
		fmt.Fprintf(m.a.stdout, "%s: kas-build %s\n", v.ID(), shellWord(strings.Join(chain, ":")))
	}
	return nil
}

// buildDir is the project's build folder, and images the folder of the matrix's files in it.
func (m *theMatrix) buildDir() string {
	if d := m.a.env["KAS_BUILD_DIR"]; d != "" {
		return m.a.absolute(d)
	}
	return filepath.Join(m.dir, "build")
}

func (m *theMatrix) images() string { return filepath.Join(m.buildDir(), "tmp/deploy/matrix") }

// top is the build folder in which all variants are built at once.
func (m *theMatrix) top() string { return filepath.Join(m.buildDir(), "matrix") }
