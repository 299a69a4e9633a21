package packages

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/debian"
	"n3x/internal/debian/deb"
	"n3x/internal/debian/repo"
	"n3x/internal/diag"
	"n3x/internal/isar"
)

// checkPrebuilt makes sure that the packages which a recipe brings are whole and for architectures that exist, and warns of
// what will most probably not do what was meant.
func checkPrebuilt(_ context.Context, c *isar.Call) error {
	list, err := debs(c)
	if err != nil {
		return err
	}
	v, err := c.Values("DISTRO_ARCH", "COMPAT_DISTRO_ARCH", "HOST_ARCH", "PROVIDES", "PN")
	if err != nil {
		return err
	}
	if len(list) == 0 {
		fmt.Fprintf(c.Log, "WARNING: %s has no .deb file among its sources, so that it deploys nothing; name one in SRC_URI, e.g. \"file://hello_1.0_amd64.deb\"\n", c.Recipe)
		return nil
	}
	var names []string
	for _, path := range list {
		p, err := checkDeb(path)
		if err != nil {
			return diag.Userf(c.Pos, "%s is not a whole Debian package: %w", filepath.Base(path), err).
				WithHint("look at it with `dpkg-deb --info %s`; if it was downloaded, fetch it anew", path)
		}
		names = append(names, p.Name)
		known := append([]string{"all"}, repo.Architectures[:len(repo.Architectures)-1]...)
		if !slices.Contains(known, p.Architecture) {
			return diag.Userf(c.Pos, "%s is for architecture %q, which no machine here has", filepath.Base(path), p.Architecture).
				WithHint("the architectures are: %s", strings.Join(known, " "))
		}
		if !slices.Contains([]string{"all", v[0], v[1], v[2]}, p.Architecture) {
			fmt.Fprintf(c.Log, "WARNING: %s is for %s, not for %s, so that images cannot install it\n", filepath.Base(path), p.Architecture, v[0])
		}
		fmt.Fprintf(c.Log, "%s: %s %s %s, %d bytes\n", filepath.Base(path), p.Name, p.Version, p.Architecture, p.Size)
	}
	if !slices.ContainsFunc(names, func(n string) bool { return slices.Contains(append(strings.Fields(v[3]), v[4]), n) }) {
		fmt.Fprintf(c.Log, "WARNING: %s brings the package %s, which nothing in its PROVIDES says; add PROVIDES += \"%s\" and install it by that name\n",
			c.Recipe, strings.Join(names, ", "), names[0])
	}
	return nil
}

// checkDeb reads a package to its end.
func checkDeb(path string) (*debian.Package, error) {
	d, err := deb.OpenFile(path)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	p, err := d.Package()
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	p.Size = info.Size()
	data, err := d.Data()
	if err != nil {
		return nil, err
	}
	defer data.Close()
	for files := tar.NewReader(data); ; {
		if _, err := files.Next(); err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("its files: %w", err)
		}
	}
	if _, err := io.Copy(io.Discard, data); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("its files: %w", err)
	}
	return p, nil
}
