package isar

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/diag"
)

// Deployer is a recipe that puts packages into isar-apt.
type Deployer struct {
	Recipe      string // PN, e.g. "hello-native"
	Base        string // BPN, e.g. "hello": variants of one recipe share it
	Multiconfig string // "" = the default one
	Work        string // WORKDIR
	Pos         diag.Pos
}

// OwnerOf names who a recipe's packages belong to in isar-apt, e.g. "debian-trixie-amd64/hello": its work folder below
// TMPDIR/work without the version, so that a new version takes the place of the old one.
func OwnerOf(d *datastore.Data) (string, error) {
	v := make([]string, 4)
	for i, name := range []string{"TMPDIR", "WORKDIR", "PV", "PR"} {
		var err error
		if v[i], err = d.Value(name); err != nil {
			return "", err
		}
	}
	owner, err := filepath.Rel(filepath.Join(v[0], "work"), v[1])
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(owner, "/"+v[2]+"-"+v[3]), nil
}

// GnuPGHome is the user's folder of GnuPG: GNUPGHOME of the metadata or of the environment, else ~/.gnupg; "" when there
// is none.
func GnuPGHome(d *datastore.Data) (string, error) {
	for _, from := range []*datastore.Data{d, d.Environment} {
		if from == nil {
			continue
		}
		if home, err := from.Value("GNUPGHOME"); err != nil || home != "" {
			return home, err
		}
	}
	home, err := d.Value("HOME")
	if err != nil || home == "" {
		return "", err
	}
	home = filepath.Join(home, ".gnupg")
	if _, err := os.Stat(home); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return home, nil
}
