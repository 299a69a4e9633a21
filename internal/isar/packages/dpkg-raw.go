package packages

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/atomicfile"
	"n3x/internal/debian/deb"
	"n3x/internal/debian/debhelper"
	"n3x/internal/diag"
	"n3x/internal/isar"
	"n3x/internal/sandbox"
)

// runBuildRaw is dpkg_runbuild of class dpkg-raw. A package whose files say all is written directly; for others the
// source package is built by the real debhelper. N3X_DPKG_RAW chooses: auto, direct or debhelper.
func (r *Room) runBuildRaw(ctx context.Context, c *isar.Call) error {
	way, err := c.Value("N3X_DPKG_RAW")
	if err != nil {
		return err
	}
	if !slices.Contains([]string{"auto", "direct", "debhelper"}, way) {
		return diag.Userf(c.Data.LastSet("N3X_DPKG_RAW"), "N3X_DPKG_RAW of %s is %q", c.Recipe, way).WithHint("it can be auto, direct or debhelper")
	}
	if way == "debhelper" {
		fmt.Fprintln(c.Log, "built with debhelper, since N3X_DPKG_RAW says so")
		return runDebhelper(ctx, c, nil)
	}
	pkg, err := r.directly(ctx, c)
	var b *debhelper.Beyond
	switch {
	case errors.As(err, &b) && way == "direct":
		return diag.Userf(c.Pos, "%s cannot be written directly: %s", c.Recipe, b.Reason).WithHint("set N3X_DPKG_RAW = \"auto\", so that debhelper builds it")
	case errors.As(err, &b):
		fmt.Fprintf(c.Log, "built with debhelper: %s\n", b.Reason)
		return runDebhelper(ctx, c, b)
	case err != nil:
		return err
	}
	return writeDirectly(c, pkg)
}

// runDebhelper builds the recipe's source package in a build root. When the plan has none, since nothing said before that
// one would be needed, the recipe is marked and the build planned anew.
func runDebhelper(ctx context.Context, c *isar.Call, why *debhelper.Beyond) error {
	v, err := c.Values("DPKG_BUILD_SCHROOT_DEP", "N3X_DPKG_RAW_MARK")
	if err != nil {
		return err
	}
	if strings.TrimSpace(v[0]) == "" && why != nil {
		if err := atomicfile.Write(v[1], []byte(why.Reason+"\n"), 0o644); err != nil {
			return err
		}
		return &isar.PlanAgain{Recipe: c.Recipe, Reason: why.Reason}
	}
	return c.Natives["dpkg.runbuild"](ctx, c)
}

// directly makes the package in memory, or says why that cannot be done.
func (r *Room) directly(ctx context.Context, c *isar.Call) (*debhelper.Package, error) {
	v, err := c.Values("PN", "BPN", "S", "D", "PACKAGE_ARCH", "WORKDIR", "N3X_DEB_BUILD_PROFILES", "N3X_DEB_BUILD_OPTIONS")
	if err != nil {
		return nil, err
	}
	pn, bpn, s, d, arch, work := v[0], v[1], v[2], v[3], v[4], v[5]
	if pn != bpn {
		return nil, &debhelper.Beyond{Reason: "it is a variant of " + bpn + " and built from its source package"}
	}
	if filepath.Clean(d) != filepath.Join(s, "image") {
		return nil, &debhelper.Beyond{Reason: "D is not ${S}/image"}
	}
	if _, pure, err := c.NativesOf("dpkg_runbuild"); err != nil {
		return nil, err
	} else if !pure {
		return nil, &debhelper.Beyond{Reason: "dpkg_runbuild was changed"}
	}
	h, archive, err := r.debhelper(ctx, c)
	if err != nil {
		return nil, err
	}
	pkg, err := debhelper.Source{Dir: s, Release: h.Release, HostArch: arch, Profiles: strings.Fields(v[6]), Options: strings.Fields(v[7])}.Build()
	var b *debhelper.Beyond
	if errors.As(err, &b) {
		return nil, b
	}
	if err != nil {
		return nil, diag.Userf(c.Pos, "package %s: %w", c.Recipe, err)
	}
	return pkg, recordBuildDepends(work, archive.Key, h.Packages)
}

// writeDirectly puts the .deb where dpkg-buildpackage would.
func writeDirectly(c *isar.Call, pkg *debhelper.Package) error {
	for _, n := range pkg.Notes {
		fmt.Fprintf(c.Log, "WARNING: %s\n", n)
	}
	work, err := c.Value("WORKDIR")
	if err != nil {
		return err
	}
	if err := forgetResults(work); err != nil {
		return err
	}
	out := filepath.Join(work, pkg.FileName())
	err = atomicfile.WriteFrom(out, 0o644, func(w io.Writer) error { return deb.Write(w, pkg.Contents) })
	if err != nil {
		return fmt.Errorf("write %s: %w", out, err)
	}
	fmt.Fprintf(c.Log, "written directly: %s\n", out)
	return rememberResults(work, []string{out})
}

// sourceRaw is do_dpkg_source of class dpkg-raw: it writes the source package that dpkg-source makes. Where that needs
// more than the files, dpkg-source does it.
func sourceRaw(ctx context.Context, c *isar.Call) error {
	v, err := c.Values("WORKDIR", "S", "DEBIAN_SOURCE", "DPKG_SOURCE_EXTRA_ARGS")
	if err != nil {
		return err
	}
	work, dir, name, args := v[0], v[1], v[2], v[3]
	var b *debhelper.Beyond
	if strings.TrimSpace(args) != "" {
		b = &debhelper.Beyond{Reason: "DPKG_SOURCE_EXTRA_ARGS is set"}
	}
	var pkg *debhelper.SourcePackage
	if b == nil {
		pkg, err = debhelper.ReadSource(dir)
		switch {
		case errors.As(err, &b):
		case err != nil:
			return diag.Userf(c.Pos, "source package of %s: %w", c.Recipe, err)
		case pkg.Name != name:
			return diag.Userf(c.Pos, "DEBIAN_SOURCE is %q, but %s calls the source package %q", name, filepath.Join(dir, "debian/changelog"), pkg.Name).
				WithHint("set DEBIAN_SOURCE = %q, or correct the changelog", pkg.Name)
		}
	}
	if b != nil {
		fmt.Fprintf(c.Log, "dpkg-source makes the source package: %s\n", b.Reason)
		return c.Exec(ctx, "dpkg_raw_source_by_tool")
	}
	old, err := filepath.Glob(filepath.Join(escapeGlob(work), escapeGlob(name)+"_*"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if strings.HasSuffix(path, ".dsc") || strings.HasSuffix(path, ".tar.gz") {
			if err := sandbox.Remove(path); err != nil {
				return err
			}
		}
	}
	files, err := pkg.Write(work)
	fmt.Fprintf(c.Log, "written directly: %s\n", strings.Join(files, ", "))
	return err
}
