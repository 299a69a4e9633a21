package packages

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"n3x/internal/atomicfile"
	"n3x/internal/debian/deb"
	"n3x/internal/diag"
	"n3x/internal/isar"
)

// dscFile is the recipe's one source package, the .dsc that do_dpkg_source left in the work folder dir.
func dscFile(c *isar.Call, dir string) (string, error) {
	source, err := c.Value("DEBIAN_SOURCE")
	if err != nil {
		return "", err
	}
	list, err := filepath.Glob(filepath.Join(escapeGlob(dir), escapeGlob(source)+"_*.dsc"))
	if err != nil {
		return "", err
	}
	switch len(list) {
	case 0:
		return "", diag.Userf(c.Pos, "%s has no source package: %s holds no %s_*.dsc", c.Recipe, dir, source).
			WithHint("do_dpkg_source makes it; if the recipe replaces that task, let it call dpkg-source")
	case 1:
		return list[0], nil
	}
	return "", diag.Userf(c.Pos, "%s has several source packages: %s", c.Recipe, strings.Join(list, ", ")).WithHint("run the recipe's task clean")
}

// sourceFiles are the paths of all files of a source package: the .dsc itself and what it lists.
func sourceFiles(dsc string) ([]string, error) {
	f, err := os.Open(dsc)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	stanzas, err := deb.ReadStanzas(dsc, f)
	if err != nil {
		return nil, err
	}
	out := []string{dsc}
	for _, s := range stanzas {
		for line := range strings.SplitSeq(s.Field("Files"), "\n") {
			words := strings.Fields(line)
			if len(words) == 0 {
				continue
			}
			if name := words[len(words)-1]; len(words) == 3 && name == filepath.Base(name) && filepath.IsLocal(name) {
				out = append(out, filepath.Join(filepath.Dir(dsc), name))
				continue
			}
			return nil, diag.Userf(s.Pos("Files"), "%q is no entry of a source package's Files", line)
		}
	}
	if len(out) == 1 {
		return nil, diag.Userf(diag.Pos{File: dsc}, "the source package lists no files")
	}
	return out, nil
}

// fetchCommonSource brings the source package of the recipe itself into the work folder of one of its variants
// (native, compat), so that all are built from the same sources.
func fetchCommonSource(_ context.Context, c *isar.Call) error {
	v, err := c.Values("WORKDIR", "PN", "BPN")
	if err != nil {
		return err
	}
	work, pn, bpn := v[0], v[1], v[2]
	// WORKDIR ends in PN/PV-PR, and the variant's version is the recipe's.
	dir, version := filepath.Split(work)
	if filepath.Base(dir) != pn {
		return diag.Userf(c.Pos, "WORKDIR of %s is %s; the sources of %s are looked for beside it, which needs it to end in %s and the version", pn, work, bpn, pn)
	}
	dsc, err := dscFile(c, filepath.Join(filepath.Dir(filepath.Clean(dir)), bpn, version))
	if err != nil {
		return err
	}
	files, err := sourceFiles(dsc)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(work, 0o777); err != nil {
		return err
	}
	if err := removeSource(c, work); err != nil {
		return err
	}
	for _, path := range files {
		if err := place(path, filepath.Join(work, filepath.Base(path))); err != nil {
			return fmt.Errorf("copy the source package of %s: %w", bpn, err)
		}
	}
	return nil
}

// removeSource makes room for a source package: two .dsc files of one source would be ambiguous.
func removeSource(c *isar.Call, work string) error {
	source, err := c.Value("DEBIAN_SOURCE")
	if err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(escapeGlob(work), escapeGlob(source)+"_*.dsc"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// place makes to the same file as from, or a copy where that is not possible.
func place(from, to string) error {
	if err := os.Remove(to); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Link(from, to); err == nil {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	return atomicfile.WriteFrom(to, 0o644, func(w io.Writer) error {
		_, err := io.Copy(w, in)
		return err
	})
}
