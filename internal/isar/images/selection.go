package images

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"n3x/internal/atomicfile"
	"n3x/internal/debian"
	"n3x/internal/isar"
)

// Selection is what a root file system was made of, as it lies beside its layers.
type Selection struct {
	Archive  string // key of the archive's configuration
	Packages []*debian.Package
}

func selectionFile(work string) string { return filepath.Join(work, "layers", "packages.json") }

// ReadSelection gives what the last do_rootfs_install of a work folder chose.
func ReadSelection(work string) (*Selection, error) {
	data, err := os.ReadFile(selectionFile(work))
	if err != nil {
		return nil, err
	}
	var s Selection
	return &s, json.Unmarshal(data, &s)
}

// tellChanges tells the user what has changed since the last selection that could be installed.
func (s *selection) tellChanges(c *isar.Call) error {
	work, err := c.Value("WORKDIR")
	if err != nil {
		return err
	}
	old, err := ReadSelection(work)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		old = nil // of another format: nothing to compare with
	}
	if old != nil {
		reportChanges(c, old.Packages, s.all)
	}
	return nil
}

// remember stores the selection: it is installed now.
func (s *selection) remember(c *isar.Call) error {
	work, err := c.Value("WORKDIR")
	if err != nil {
		return err
	}
	data, err := json.Marshal(Selection{Archive: s.archive.Key, Packages: s.all})
	if err != nil {
		return err
	}
	return atomicfile.Write(selectionFile(work), data, 0o644)
}

func reportChanges(c *isar.Call, before, after []*debian.Package) {
	was := map[string]debian.Version{}
	for _, p := range before {
		was[p.Name+":"+p.Architecture] = p.Version
	}
	for _, p := range after {
		key := p.Name + ":" + p.Architecture
		switch v, ok := was[key]; {
		case !ok:
			c.Progress.Line(fmt.Sprintf("new package %s %s", p.Name, p.Version))
		case v != p.Version:
			c.Progress.Line(fmt.Sprintf("package %s changed from %s to %s", p.Name, v, p.Version))
		}
		delete(was, key)
	}
	for _, p := range before {
		if _, gone := was[p.Name+":"+p.Architecture]; gone {
			c.Progress.Line(fmt.Sprintf("package %s %s is no longer installed", p.Name, p.Version))
		}
	}
}
