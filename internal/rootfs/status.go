package rootfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"n3x/internal/debian"
	"n3x/internal/debian/deb"
)

// statusFile is dpkg's database of packages.
const statusFile = "var/lib/dpkg/status"

// Installed is the packages that dpkg has installed and configured in the stack, sorted by name and architecture.
func (s Stack) Installed() ([]*debian.Package, error) {
	data, err := s.DpkgStatus()
	if err != nil {
		return nil, err
	}
	stanzas, err := deb.ReadStanzas(statusFile, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	var list []*debian.Package
	for _, st := range stanzas {
		if !strings.HasSuffix(st.Field("Status"), " ok installed") {
			continue
		}
		p, err := deb.ParsePackage(st)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *debian.Package) int {
		return strings.Compare(a.Name+"\x00"+a.Architecture, b.Name+"\x00"+b.Architecture)
	})
	return list, nil
}

// DpkgStatus is dpkg's status file.
func (s Stack) DpkgStatus() ([]byte, error) {
	data, err := s.ReadFile(statusFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the package database: the root filesystem has no /%s", statusFile)
	}
	return data, err
}

// Manifest lists the installed packages, one a line: "source|source version|package:architecture|version".
func (s Stack) Manifest() ([]byte, error) {
	list, err := s.Installed()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, p := range list {
		fmt.Fprintf(&b, "%s|%s|%s:%s|%s\n", p.Source, p.SourceVersion, p.Name, p.Architecture, p.Version)
	}
	return b.Bytes(), nil
}

// installed is [Stack.Installed] that knows the empty stack.
func installed(below Stack) ([]*debian.Package, error) {
	if len(below) == 0 {
		return nil, nil
	}
	return below.Installed()
}
