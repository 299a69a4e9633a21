package packages

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"n3x/internal/atomicfile"
	"n3x/internal/debian"
	"n3x/internal/debian/deb"
	"n3x/internal/debian/debhelper"
	"n3x/internal/isar"
)

// helper is the debhelper that an archive offers.
type helper struct {
	Release  *debhelper.Release `json:"-"`
	Packages []*debian.Package  // dpkg, and those that hold it
}

// debhelper is the one of the recipe's distribution. Its packages are in DL_DIR afterwards, as build dependencies are. What
// is read out of them is kept beside the layers, by their SHA-256; which ones an archive offers, by the archive's digest.
func (r *Room) debhelper(ctx context.Context, c *isar.Call) (*helper, *isar.Archive, error) {
	archive, err := r.Archives.Stored(ctx, c.Data, c.Progress)
	if err != nil {
		return nil, nil, err
	}
	h := new(helper)
	sum := sha256.Sum256([]byte(archive.Digest))
	err = remembered(filepath.Join(r.Layers, "debhelper-of-"+hex.EncodeToString(sum[:])[:32]+".json"), h, func() error {
		h.Packages, err = offeredHelper(ctx, archive)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	paths, err := archive.Client.Fetch(ctx, h.Packages, c.Progress)
	if err != nil {
		return nil, nil, err
	}
	var sums []string
	for _, p := range h.Packages[1:] {
		sums = append(sums, p.SHA256)
	}
	sum = sha256.Sum256([]byte(strings.Join(sums, " ")))
	err = remembered(filepath.Join(r.Layers, "debhelper-"+hex.EncodeToString(sum[:])[:32]+".json"), &h.Release, func() error {
		h.Release, err = readHelper(paths[1:])
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	h.Release.Dpkg = string(h.Packages[0].Version)
	return h, archive, nil
}

// remembered reads what a file keeps into v, or has it made and keeps it.
func remembered(path string, v any, work func() error) error {
	data, err := os.ReadFile(path)
	if err == nil && json.Unmarshal(data, v) == nil {
		return nil
	}
	if err := work(); err != nil {
		return err
	}
	if data, err = json.Marshal(v); err != nil {
		return err
	}
	return atomicfile.Write(path, data, 0o644)
}

// offeredHelper looks up dpkg and the packages of debhelper.
func offeredHelper(ctx context.Context, archive *isar.Archive) ([]*debian.Package, error) {
	state, err := archive.State(ctx)
	if err != nil {
		return nil, err
	}
	var out []*debian.Package
	for _, name := range append([]string{"dpkg"}, debhelper.Packages()...) {
		p := state.Candidate(name, archive.Arches[0])
		if p == nil {
			return nil, &debhelper.Beyond{Reason: fmt.Sprintf("%s offers no package %s, which would say what debhelper does", archive.Key, name)}
		}
		out = append(out, p)
	}
	return out, nil
}

func readHelper(paths []string) (release *debhelper.Release, err error) {
	var debs []*deb.Deb
	defer func() {
		for _, d := range debs {
			err = errors.Join(err, d.Close())
		}
	}()
	for _, path := range paths {
		d, err := deb.OpenFile(path)
		if err != nil {
			return nil, err
		}
		debs = append(debs, d)
	}
	return debhelper.ReadRelease(debs...)
}
