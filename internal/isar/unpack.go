package isar

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"n3x/internal/atomicfile"
	"n3x/internal/diag"
	"n3x/internal/sandbox"
)

// doUnpack puts the sources of SRC_URI into WORKDIR. What an earlier run put there goes first: a file that has left
// SRC_URI, say a postinst, must not live on in the package.
func doUnpack(ctx context.Context, c *Call, o Outside) error {
	f, sources, err := fetcher(c, o)
	if err != nil {
		return err
	}
	v, err := c.Values("WORKDIR", "T")
	if err != nil {
		return err
	}
	work, list := v[0], filepath.Join(v[1], "unpacked.json")
	if err := removeUnpacked(work, list); err != nil {
		return err
	}
	if err := os.MkdirAll(work, 0o777); err != nil {
		return err
	}
	return InScratch(work, func(dir string) error {
		for _, s := range sources {
			if err := f.Unpack(ctx, s, dir); err != nil {
				return err
			}
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		names := []string{}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if err := writeUnpacked(list, names); err != nil {
			return err
		}
		for _, name := range names {
			if err := merge(filepath.Join(dir, name), filepath.Join(work, name)); err != nil {
				return err
			}
		}
		return nil
	})
}

// remember adds an entry of WORKDIR to what the next unpacking removes first.
func remember(c *Call, name string) error {
	temp, err := c.Value("T")
	if err != nil {
		return err
	}
	list := filepath.Join(temp, "unpacked.json")
	names, err := readUnpacked(list)
	if err != nil || slices.Contains(names, name) {
		return err
	}
	return writeUnpacked(list, append(names, name))
}

func readUnpacked(list string) ([]string, error) {
	data, err := os.ReadFile(list)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	if err := json.Unmarshal(data, &names); err != nil {
		return nil, diag.Failedf(diag.Pos{File: list}, "read what was unpacked before: %w", err).WithHint("run the recipe's task clean")
	}
	return names, nil
}

func writeUnpacked(list string, names []string) error {
	data, err := json.Marshal(names)
	if err != nil {
		return err
	}
	return atomicfile.Write(list, data, 0o644)
}

// removeUnpacked removes the entries of work that list names.
func removeUnpacked(work, list string) error {
	names, err := readUnpacked(list)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !filepath.IsLocal(name) || name == "." || name == "temp" {
			continue // the logs' folder is not the sources', whatever they hold
		}
		if err := sandbox.Remove(filepath.Join(work, name)); err != nil {
			return err
		}
	}
	return nil
}

// merge moves from to to. A folder that is already there stays and gets what from has.
func merge(from, to string) error {
	have, err := os.Lstat(to)
	if errors.Is(err, fs.ErrNotExist) {
		return os.Rename(from, to)
	}
	if err != nil {
		return err
	}
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if !info.IsDir() || !have.IsDir() {
		if err := sandbox.Remove(to); err != nil {
			return err
		}
		return os.Rename(from, to)
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := merge(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
