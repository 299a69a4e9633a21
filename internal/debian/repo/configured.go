package repo

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"n3x/internal/debian/deb"
	"n3x/internal/diag"
)

// Configured opens a repository with the fields that its conf/distributions has, and the keys that these name from GnuPG's
// folder home; date is Options.Date.
func Configured(o Options, home string) (*Repository, error) {
	path := filepath.Join(o.Dir, "conf", "distributions")
	fields, err := ReadFields(path, o.Codename)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	o.Fields = fields
	for _, f := range fields {
		if f.Name == "SignWith" {
			if o.Keys, err = NamedKeys(strings.Fields(f.Value), home); err != nil {
				return nil, err
			}
		}
	}
	return New(o)
}

// ReadFields reads the optional fields of a conf/distributions file, or of a template for one, for a codename. What every
// repository has here, its architectures and its component, is left out.
func ReadFields(path, codename string) ([]Field, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	stanzas, err := deb.ReadStanzas(path, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	var out []Field
	for _, st := range stanzas {
		if name := st.Field("Codename"); name != codename && !strings.Contains(name, "{") {
			continue
		}
		for _, f := range st.Fields {
			if slices.Contains([]string{"Codename", "Architectures", "Components"}, f.Name) {
				continue
			}
			if err := checkField(Field{f.Name, f.Value}); err != nil {
				return nil, diag.Userf(st.Pos(f.Name), "%w", err)
			}
			out = append(out, Field{f.Name, f.Value})
		}
	}
	return out, nil
}

// Contains compares a .deb file with the repository: same = this very file is there, other = another file of the same
// name, version and architecture is.
func (c *Change) Contains(d *Deb) (same, other bool) {
	held, ok := c.Find(d.Name, d.Architecture)
	if !ok || held.Version != string(d.Version) {
		return false, false
	}
	return held.SHA256 == d.SHA256, held.SHA256 != d.SHA256
}

// MissingSources names the source packages that binary packages of the repository were made from and that it does not
// have, as "name version", sorted.
func (c *Change) MissingSources() []string {
	have := map[string]bool{}
	for _, e := range c.entries {
		if e.kind == "dsc" {
			have[e.name+" "+e.version] = true
		}
	}
	var out []string
	for _, e := range c.entries {
		if e.kind != "deb" {
			continue
		}
		stanzas, err := deb.ReadStanzas("", strings.NewReader(e.stanza))
		if err != nil || len(stanzas) != 1 {
			continue
		}
		p, err := deb.ParsePackage(stanzas[0])
		if err != nil {
			continue
		}
		if s := p.Source + " " + string(p.SourceVersion); !have[s] {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Epoch is the time that a number of seconds since 1970 means, as SOURCE_DATE_EPOCH has it; text that is none is 1970.
func Epoch(seconds string) time.Time {
	var n int64
	for _, c := range seconds {
		if c < '0' || c > '9' || n > 1<<40 {
			return time.Unix(0, 0)
		}
		n = n*10 + int64(c-'0')
	}
	return time.Unix(n, 0)
}
