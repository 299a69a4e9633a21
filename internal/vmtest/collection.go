package vmtest

import (
	_ "embed"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/diag"
)

// ReadDir reads all suites of a folder, in the order of their names. show shortens file names for messages.
func ReadDir(dir string, show func(string) string) ([]*Suite, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, diag.Userf(diag.Pos{}, "read the suites: %w", err)
	}
	var out []*Suite
	var errs []error
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext != ".yaml" && ext != ".yml" || e.IsDir() {
			continue
		}
		s, err := ReadFile(filepath.Join(dir, e.Name()), show)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if i := slices.IndexFunc(out, func(o *Suite) bool { return o.Name == s.Name }); i >= 0 {
			errs = append(errs, diag.Userf(s.Pos, "the suite has the name of %s", out[i].Pos.File).WithHint("rename one of the files"))
			continue
		}
		out = append(out, s)
	}
	return out, errors.Join(errs...)
}

// ReadFile reads a suite from a file. Files that it names are looked up beside it, from the current folder on.
func ReadFile(path string, show func(string) string) (*Suite, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, diag.Userf(diag.Pos{}, "read a suite: %w", err)
	}
	if !st.Mode().IsRegular() || st.Size() > maxSuite {
		return nil, diag.Userf(diag.Pos{File: show(path)}, "a suite is a file of at most %d bytes", maxSuite)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, diag.Userf(diag.Pos{}, "read a suite: %w", err)
	}
	return Read(show(path), data)
}

// maxSuite is far above what anybody writes, and below what would take all memory: positions make YAML's nodes large.
const maxSuite = 256 << 10

// Choose gives the suites that have one of the words as name or tag, in the order of all; a name may be a pattern as shells have it.
func Choose(all []*Suite, words []string) ([]*Suite, error) {
	chosen := map[*Suite]bool{}
	for _, w := range words {
		found := false
		for _, s := range all {
			match, err := filepath.Match(w, s.Name)
			if err != nil {
				return nil, diag.Userf(diag.Pos{}, "%q is no pattern for names of suites", w)
			}
			if match || slices.ContainsFunc(s.Tags, func(t string) bool { return strings.EqualFold(t, w) }) {
				chosen[s], found = true, true
			}
		}
		if !found {
			return nil, diag.Unknown(diag.Pos{}, "the project", "suite", w, callable(all))
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(s *Suite) bool { return !chosen[s] }), nil
}

// callable are the words that choose something.
func callable(all []*Suite) []string {
	var names, tags []string
	for _, s := range all {
		names = append(names, s.Name)
		for _, t := range s.Tags {
			if !slices.Contains(tags, t) {
				tags = append(tags, t)
			}
		}
	}
	return append(names, tags...)
}

//go:embed boot.yaml
var bootSuite []byte

// Boot is the suite for any image: it boots, and its services have started. image is a .wic file, or "" when overlays make the image.
func Boot(name, image string, overlays []string, direct bool) (*Suite, error) {
	s, err := Read("boot.yaml", bootSuite)
	if err != nil {
		return nil, err
	}
	s.Name, s.Overlays, s.image = name, overlays, true
	s.Machines[0].Image, s.Machines[0].Direct = image, direct
	return s, nil
}

// OfImage reports whether the suite is one of [Boot].
func (s *Suite) OfImage() bool { return s.image }
