package isar

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"n3x/internal/debian"
	"n3x/internal/debian/deb"
	"n3x/internal/rootfs"
)

// DeployedURI is the address, in an index, of packages that this build makes.
const DeployedURI = "isar-apt"

// DeployedPackages are the packages that recipes deployed before this task, with their files, in a fixed order. They are
// in an index of their own, whose pin makes them win over the archives', as with ISAR's pin of 1000.
func (c *Call) DeployedPackages() ([]rootfs.Deb, error) {
	index := &debian.Index{URI: DeployedURI, Suite: "isar", Component: "main", Origin: "isar", Trusted: true}
	var out []rootfs.Deb
	for _, dir := range c.Deployed {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if filepath.Ext(e.Name()) != ".deb" {
				continue
			}
			path := filepath.Join(dir, e.Name())
			p, err := readDeb(path)
			if err != nil {
				return nil, err
			}
			p.Index, p.Pin = index, 1000
			out = append(out, rootfs.Deb{Package: p, Path: path})
		}
	}
	return out, nil
}

// readDeb describes a package file as an index would.
func readDeb(path string) (*debian.Package, error) {
	d, err := deb.OpenFile(path)
	if err != nil {
		return nil, err
	}
	p, err := d.Package()
	d.Close()
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	p.SHA256, p.Size, p.Filename = hex.EncodeToString(sum[:]), int64(len(data)), path
	return p, nil
}
