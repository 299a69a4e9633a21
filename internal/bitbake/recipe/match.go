package recipe

import (
	"path/filepath"
	"strings"

	"n3x/internal/diag"
)

// Match finds the recipe of a file as `bitbake -b` does: by its path, which may be relative to dir, else by a part of the path
// that only one recipe file has. "mc:NAME:" and "virtual:VARIANT:" may stand in front.
func (w *World) Match(file, dir string) (*Recipe, error) {
	mc, variant := "", ""
	if rest, ok := strings.CutPrefix(file, "mc:"); ok {
		mc, file, _ = strings.Cut(rest, ":")
	}
	if rest, ok := strings.CutPrefix(file, "virtual:"); ok {
		i := max(0, strings.LastIndexByte(rest, ':'))
		variant, file = rest[:i], strings.TrimPrefix(rest[i:], ":")
	}
	if _, err := w.config(mc); err != nil {
		return nil, err
	}
	full := file
	if !filepath.IsAbs(full) {
		full = filepath.Join(dir, file)
	}
	same := func(path string) bool { return path == file || filepath.Clean(path) == filepath.Clean(full) }
	var partly []*Recipe
	for _, r := range w.configs[mc].all() {
		switch {
		case r.Variant != variant:
		case same(r.File):
			return r, nil
		case strings.Contains(r.File, file):
			partly = append(partly, r)
		}
	}
	for _, f := range w.failed {
		if f.MC == mc && same(f.File) {
			return nil, f.Err
		}
	}
	return onlyMatch(partly, file)
}

func onlyMatch(found []*Recipe, file string) (*Recipe, error) {
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, diag.Userf(diag.Pos{File: file}, "no recipe file of the layers matches").
			WithHint("give the path of a recipe; BBFILES in the layers' layer.conf says which files are recipes")
	}
	err := diag.Userf(diag.Pos{}, "%d recipe files match %s", len(found), file).WithHint("give the whole path of one")
	for _, r := range found {
		err = err.WithNote("%s", r.File)
	}
	return nil, err
}
