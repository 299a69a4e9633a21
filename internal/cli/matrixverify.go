package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"n3x/internal/build"
	"n3x/internal/diag"
	"n3x/internal/disk"
	"n3x/internal/kas"
	"n3x/internal/matrix"
)

func (a *app) matrixVerify() *cobra.Command {
	var f matrixFlags
	c := &cobra.Command{
		Use:   "verify",
		Short: "Compare the built files with the registry, and each image's packages with what its role needs",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return a.runMatrixVerify(&f) },
	}
	f.register(c)
	return c
}

func (a *app) runMatrixVerify(f *matrixFlags) error {
	m, err := a.openMatrix(f)
	if err != nil {
		return err
	}
	dir := m.images()
	r, err := matrix.ReadRegistry(dir)
	if err != nil {
		return err
	}
	var ids, absent []string
	for _, v := range m.chosen {
		if r.Variants[v.ID()] == nil {
			absent = append(absent, v.ID())
		} else {
			ids = append(ids, v.ID())
		}
	}
	if f.All() {
		for _, id := range r.IDs() {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	if f.dryRun {
		for _, id := range ids {
			for _, file := range r.Variants[id].Files {
				fmt.Fprintf(a.stdout, "%s: %s %d %s\n", id, file.Name, file.Size, file.SHA256)
			}
		}
		return nil
	}
	if len(r.Variants) == 0 {
		return diag.Failedf(diag.Pos{}, "no variant is built: %s has no entry", a.relative(filepath.Join(dir, matrix.RegistryFile))).WithHint("n3x matrix build")
	}
	var errs []error
	if absent != nil {
		errs = append(errs, diag.Failedf(diag.Pos{File: m.def.File}, "%d variants are not in the registry: %s", len(absent), strings.Join(absent, " ")).WithHint("n3x matrix build"))
	}
	errs = append(errs, r.Verify(dir, ids, f.All()))
	for _, id := range ids {
		errs = append(errs, m.verifyPackages(dir, id, r.Variants[id]))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%d variants are as they were built, and have the packages of their roles\n", len(ids))
	return nil
}

// verifyPackages checks an image's packages against what the definition says now.
func (m *theMatrix) verifyPackages(dir, id string, e *matrix.Entry) error {
	return m.checkPackages(dir, id, e, m.def.Needs(e.Role, e.Profile, e.Overlays))
}

// checkPackages reads the package database of the first file of an image that has a root file system.
func (m *theMatrix) checkPackages(dir, id string, e *matrix.Entry, groups []matrix.Group) error {
	for _, f := range e.Files {
		if !isRoot(f.Kind) {
			continue
		}
		return checkImage(filepath.Join(dir, f.Name), e.Role, groups)
	}
	return diag.Failedf(diag.Pos{File: m.def.File}, "%s has no file with a root file system, so its packages cannot be looked at", id)
}

// isRoot tells files that hold a root file system by the ends of their names.
func isRoot(kind string) bool {
	return strings.HasPrefix(kind, ".wic") || strings.HasPrefix(kind, ".ext4") || strings.HasPrefix(kind, ".tar")
}

func checkImage(image, role string, groups []matrix.Group) error {
	status, err := disk.ReadFile(image, statusFile)
	if errors.Is(err, fs.ErrNotExist) {
		if _, gone := os.Stat(image); gone != nil {
			return diag.Failedf(diag.Pos{File: image}, "the image does not exist")
		}
		return diag.Failedf(diag.Pos{File: image}, "the image has no package database (/%s)", statusFile)
	}
	if err != nil {
		return diag.Failedf(diag.Pos{File: image}, "read the image's packages: %w", err)
	}
	return matrix.Check(image, role, groups, status)
}

func (a *app) clusterVerify() *cobra.Command {
	c := &cobra.Command{
		Use:   "verify [FILES | VARIANT | IMAGE ROLE]",
		Short: "Prove that a built image has the packages that its role needs, from the image's own package database",
		Long: `Read the package database (/var/lib/dpkg/status) out of a built image, and tell each package that its role or its overlays need and that it
lacks. What that is lies in matrix.yaml. The image is that of kas files, a variant of the matrix, or a file with a role; without an
argument all variants that are built are looked at.`,
		Example: "  n3x cluster verify\n  n3x cluster verify kas/base.yml:kas/machine/qemu-amd64.yml:kas/image/k3s-server.yml:kas/network/simple.yml\n" +
			"  n3x cluster verify qemuamd64.server.simple.server-1\n  n3x cluster verify disk.wic server",
		Args: cobra.MaximumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error { return a.runClusterVerify(c.Context(), args) },
	}
	return c
}

func (a *app) runClusterVerify(ctx context.Context, args []string) error {
	m, err := a.openMatrix(&matrixFlags{})
	if err != nil {
		return err
	}
	switch {
	case len(args) == 0:
		return m.verifyBuilt()
	case len(args) == 2:
		return m.verifyFile(args[0], args[1])
	case strings.HasSuffix(args[0], ".yml") || strings.HasSuffix(args[0], ".yaml") || strings.Contains(args[0], ":"):
		return m.verifyChain(ctx, args[0])
	case isRoot(filepath.Ext(args[0])) || isRoot(filepath.Ext(strings.TrimSuffix(args[0], filepath.Ext(args[0])))):
		return diag.Userf(diag.Pos{}, "the role of %s is not given", args[0]).WithHint("n3x cluster verify %s server", args[0])
	}
	v, err := m.def.Find(m.all, args[0])
	if err != nil {
		return err
	}
	return m.verifyEntries(v.ID())
}

// verifyBuilt checks all variants of the registry.
func (m *theMatrix) verifyBuilt() error {
	r, err := matrix.ReadRegistry(m.images())
	if err != nil {
		return err
	}
	if len(r.Variants) == 0 {
		return diag.Userf(diag.Pos{}, "no variant of the matrix is built").WithHint("n3x matrix build, or name the kas files of an image")
	}
	return m.verifyEntries(r.IDs()...)
}

func (m *theMatrix) verifyEntries(ids ...string) error {
	r, err := matrix.ReadRegistry(m.images())
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range ids {
		e := r.Variants[id]
		if e == nil {
			return diag.Failedf(diag.Pos{}, "%s is not built", id).WithHint("n3x matrix build")
		}
		if err := m.verifyPackages(m.images(), id, e); err != nil {
			errs = append(errs, err)
			continue
		}
		m.passed(id, e.Role, m.def.Needs(e.Role, e.Profile, e.Overlays))
	}
	return errors.Join(errs...)
}

func (m *theMatrix) passed(image, role string, groups []matrix.Group) {
	n := 0
	for _, g := range groups {
		n += len(g.Names)
	}
	if role != "" {
		role = " of role " + role
	}
	fmt.Fprintf(m.a.stdout, "%s: all %d packages%s are installed\n", image, n, role)
}

func (m *theMatrix) verifyFile(image, role string) error {
	if !slices.ContainsFunc(m.def.Roles, func(r matrix.Role) bool { return r.Name == role }) {
		var names []string
		for _, r := range m.def.Roles {
			names = append(names, r.Name)
		}
		return diag.Userf(diag.Pos{File: m.def.File}, "the matrix has no role %q", role).WithHint("it has: %s", strings.Join(names, ", "))
	}
	groups := m.def.Needs(role, "", nil)
	if err := checkImage(m.a.absolute(image), role, groups); err != nil {
		return err
	}
	m.passed(image, role, groups)
	return nil
}

// verifyChain checks the images that a chain of kas files builds.
func (m *theMatrix) verifyChain(ctx context.Context, files string) error {
	p, err := m.a.load(ctx, files, &buildFlags{}, build.Provides)
	if err != nil {
		return err
	}
	o := m.a.options(p, &buildFlags{})
	o.Targets = p.Targets
	places, err := build.Places(ctx, o, "DEPLOY_DIR_IMAGE", "IMAGE_FULLNAME", "NETWORKD_PROFILE")
	if err != nil {
		return err
	}
	overlays := m.overlaysOf(p)
	role := m.def.RoleOf(overlays)
	var errs []error
	for _, t := range places {
		image, err := findImage(p, t)
		if err != nil {
			return err
		}
		groups := m.def.Needs(role, t.Values["NETWORKD_PROFILE"], overlays)
		if err := checkImage(image, role, groups); err != nil {
			errs = append(errs, err)
			continue
		}
		m.passed(m.a.relative(image), role, groups)
	}
	return errors.Join(errs...)
}

// findImage is a deployed file of a target that has a root file system.
func findImage(p *kas.Project, t build.Target) (string, error) {
	base := filepath.Join(t.Values["DEPLOY_DIR_IMAGE"], t.Values["IMAGE_FULLNAME"])
	if t.Values["IMAGE_FULLNAME"] == "" {
		return "", diag.Userf(diag.Pos{}, "%s is no image", t.Recipe).WithHint("name kas files whose target is one")
	}
	for _, ext := range []string{".wic", ".ext4", ".tar.gz", ".tar.zst", ".tar.xz", ".tar"} {
		if _, err := os.Stat(base + ext); err == nil {
			return base + ext, nil
		}
	}
	return "", diag.Failedf(diag.Pos{}, "%s is not built: there is neither %s.wic nor another file with its root file system", t.Recipe, base).
		WithHint("build it first, with the same kas files")
}
