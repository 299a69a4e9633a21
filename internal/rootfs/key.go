package rootfs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"n3x/internal/debian"
)

// procedure is the version of what [Install] does: it changes with every change of this package that gives another layer.
const procedure = "2"

// Key identifies the layer that [Install] makes of o on the stack that below identifies ("" for none): equal keys, equal
// layers.
func Key(o Options, below string) (string, error) {
	if err := o.digest(); err != nil {
		return "", err
	}
	h := sha256.New()
	field := func(name string, values ...string) { fmt.Fprintf(h, "%s %d %q\n", name, len(values), values) }
	field("procedure", procedure)
	field("below", below)
	field("arch", string(o.Arch))
	for _, a := range o.Foreign {
		field("foreign", string(a))
	}
	debs := make([]string, len(o.Install))
	for i, d := range o.Install {
		debs[i] = d.ID() + " " + d.SHA256
	}
	field("install", sortedStrings(debs)...)
	field("remove", sortedStrings(o.Remove)...)
	field("auto", sortedStrings(o.Auto)...)
	field("preseed", o.Preseed)
	field("exclude", o.Exclude...)
	field("include", o.Include...)
	field("env", o.Env...)
	if !o.Epoch.IsZero() {
		field("epoch", fmt.Sprint(o.Epoch.Unix()))
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func sortedStrings(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

// digest completes o with the SHA-256 of packages that have none, which are those of no index.
func (o *Options) digest() error {
	o.Install = slices.Clone(o.Install)
	for i, d := range o.Install {
		if d.SHA256 != "" {
			continue
		}
		sum, err := fileDigest(d.Path)
		if err != nil {
			return err
		}
		var complete debian.Package = *d.Package
		complete.SHA256 = sum
		o.Install[i].Package = &complete
	}
	return nil
}

func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return strings.ToLower(hex.EncodeToString(h.Sum(nil))), nil
}
