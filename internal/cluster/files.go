package cluster

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"n3x/internal/diag"
)

// ReadDir reads all profiles of a folder, in the order of their names. show turns a path into its name in messages.
func ReadDir(dir string, show func(string) string) ([]*Profile, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, diag.Userf(diag.Pos{}, "read profiles: %w", err)
	}
	var out []*Profile
	var errs []error
	names := map[string]string{}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext != ".yaml" && ext != ".yml" || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		file := filepath.Join(dir, e.Name())
		data, err := readFile(file)
		if err != nil {
			errs = append(errs, diag.Userf(diag.Pos{File: show(file)}, "read the profile: %w", err))
			continue
		}
		p, err := Read(show(file), data)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if other := names[p.Name]; other != "" {
			errs = append(errs, diag.Userf(diag.Pos{File: p.File}, "%s is a profile of the same name", other))
		}
		names[p.Name] = p.File
		out = append(out, p)
	}
	if out == nil && errs == nil {
		errs = append(errs, diag.Userf(diag.Pos{}, "%s holds no profiles", show(dir)).WithHint("a profile is a file NAME.yaml"))
	}
	return out, errors.Join(errs...)
}

// maxFile is the largest file that is looked at; what is larger than a configuration may be is refused by its parser.
const maxFile = 16<<20 + 1

// readFile reads a regular file: a pipe would never end.
func readFile(file string) ([]byte, error) {
	st, err := os.Stat(file)
	if err != nil {
		return nil, cause(err)
	}
	if !st.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, cause(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	return data, cause(err)
}

// cause is an error without the path, which messages have at their beginning.
func cause(err error) error {
	if path := new(fs.PathError); errors.As(err, &path) {
		return path.Err
	}
	return err
}
