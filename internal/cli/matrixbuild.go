package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"n3x/internal/atomicfile"
	"n3x/internal/diag"
	"n3x/internal/fetch"
	"n3x/internal/matrix"
	"n3x/internal/multiconfig"
)

// statusFile is the package database of an image.
const statusFile = "var/lib/dpkg/status"

func (a *app) matrixBuild() *cobra.Command {
	var f matrixFlags
	c := &cobra.Command{
		Use:   "build",
		Short: "Build the variants in one process, and register their files",
		Long: `Build the variants in one process, so that they share what is the same for them, and put their files into build/tmp/deploy/matrix by
names of their own, beside a registry with hashes (registry.json, and isar-artifacts.nix for Nix). When a variant fails, the others are
built all the same; it then has no entry in the registry.`,
		Example: "  n3x matrix build\n  n3x matrix build --machine qemuamd64 --role server\n  n3x matrix build --overlay kas/test/console.yml --profile simple",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.runMatrixBuild(c.Context(), &f) },
	}
	f.register(c)
	c.Flags().StringArrayVar(&f.overlays, "overlay", nil, "a kas file behind each variant's own, for tests (repeatable)")
	c.Flags().BoolVar(&f.offline, "offline", false, "use what was downloaded before, never the network")
	a.plain.register(c)
	return c
}

// unit is a variant that is being built.
type unit struct {
	matrix.Variant
	*multiconfig.Unit
}

// ID is the variant's, which is its multiconfig's name.
func (u *unit) ID() string { return u.Variant.ID() }

func (a *app) runMatrixBuild(ctx context.Context, f *matrixFlags) error {
	m, err := a.openMatrix(f)
	if err != nil {
		return err
	}
	if f.dryRun {
		return m.showChains()
	}
	start := time.Now()
	set, err := m.load(ctx)
	if err != nil {
		return err
	}
	if !inside() {
		if err := m.checkToken(m.units(set)); err != nil {
			return err
		}
		if err := set.Prepare(ctx); err != nil {
			return err
		}
	}
	if len(set.Good()) == 0 {
		return set.Failures("variants")
	}
	if !inside() {
		if err := m.noteInputs(ctx); err != nil {
			return err
		}
	}
	in, err := a.enter()
	if err != nil || !in {
		return err
	}
	inputs, err := m.inputs()
	if err != nil {
		return err
	}
	stream, done := a.progress()
	made, ran, err := set.Build(ctx, stream)
	done()
	if err != nil {
		return err
	}
	return errors.Join(m.register(ctx, made, m.units(set), inputs, ran, time.Since(start)), set.Failures("variants"))
}

// load reads the kas files of each chosen variant.
func (m *theMatrix) load(ctx context.Context) (*multiconfig.Set, error) {
	var chains []multiconfig.Chain
	for _, v := range m.chosen {
		files, err := m.chain(v)
		if err != nil {
			return nil, err
		}
		c := multiconfig.Chain{ID: v.ID(), Files: files}
		if v.Skip != nil {
			c.Conf = fmt.Sprintf("IMAGE_FSTYPES:remove = \"%s\"\n", strings.Join(v.Skip, " "))
		}
		chains = append(chains, c)
	}
	c := m.a.multiconfig("n3x matrix build", m.dir, m.top(), m.lockFile(), m.f.offline, "DEPLOY_DIR_IMAGE", "IMAGE_FULLNAME", "K3S_VERSION", "SOURCE_DATE_EPOCH")
	c.File, c.Whole = m.def.File, m.f.All() && len(chains) == len(m.all)
	set, err := multiconfig.Load(ctx, c, chains)
	if err != nil {
		return nil, err
	}
	set.OneSelection(func(u *multiconfig.Unit) string {
		v := m.units(set)[slices.Index(set.Units, u)]
		return fmt.Sprintf("build it by itself: --machine %s --role %s", v.Machine, v.Role)
	})
	return set, nil
}

// units are the variants of a set, which are in the order in which they were chosen.
func (m *theMatrix) units(set *multiconfig.Set) []*unit {
	var out []*unit
	for i, u := range set.Units {
		out = append(out, &unit{Variant: m.chosen[i], Unit: u})
	}
	return out
}

// lockFile is n3x.lock beside the first overlay, as for builds of one image.
func (m *theMatrix) lockFile() string {
	return filepath.Join(filepath.Dir(filepath.Join(m.dir, m.def.Base[0])), "n3x.lock")
}

// checkToken refuses, before anything is built, nodes that join a cluster whose token is nowhere.
func (m *theMatrix) checkToken(units []*unit) error {
	if m.a.env["K3S_TOKEN_FILE"] != "" {
		return nil
	}
	name := m.a.env["CLUSTER_NAME"]
	if name == "" {
		name = "default"
	}
	if _, err := os.Stat(m.a.secrets().Token(name)); err == nil {
		return nil
	}
	var ids []string
	for _, u := range units {
		if u.Joins && u.Err == nil && !strings.Contains(u.Project.LocalConf, "K3S_TOKEN_FILE") && !strings.Contains(u.Project.LocalConf, "CLUSTER_NAME") {
			ids = append(ids, u.ID())
		}
	}
	if ids == nil {
		return nil
	}
	e := diag.Userf(diag.Pos{}, "%d of the variants join a cluster, which takes its token, and there is none: %s", len(ids), strings.Join(ids, " "))
	if name != "default" {
		return e.WithHint("n3x cluster token --name %s, or set K3S_TOKEN_FILE", name)
	}
	return e.WithHint("n3x cluster token, or set K3S_TOKEN_FILE")
}

// noteInputs notes what all variants are made of, where git works as the user knows it, for [theMatrix.inputs] inside.
func (m *theMatrix) noteInputs(ctx context.Context) error {
	in := matrix.Inputs{Lock: digestOf(m.lockFile())}
	git := func(args ...string) (string, bool) {
		out, _, status, err := fetch.HostGit{}.Git(ctx, m.dir, nil, args...)
		return strings.TrimSpace(out), err == nil && status == 0
	}
	if commit, ok := git("rev-parse", "HEAD"); ok {
		in.Commit = commit
		changes, ok := git("status", "--porcelain")
		in.Modified = !ok || changes != ""
	}
	data, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(m.top(), "n3x/inputs.json"), data, 0o644)
}

func (m *theMatrix) inputs() (in matrix.Inputs, err error) {
	data, err := os.ReadFile(filepath.Join(m.top(), "n3x/inputs.json"))
	if err != nil {
		return in, diag.Failedf(diag.Pos{}, "read what the variants are made of: %w", err)
	}
	return in, json.Unmarshal(data, &in)
}

// digestOf is the SHA-256 of a file, "" when there is none.
func digestOf(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
