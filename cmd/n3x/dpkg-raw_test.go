package main

import (
	"archive/tar"
	"bytes"
	"crypto/md5"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"n3x/internal/debian/deb"
)

// rawCommands translates the commands of the samples in internal/debian/debhelper/testdata into shell.
var rawCommands = map[string]func(words []string) string{
	"mode": func(w []string) string {
		if strings.HasPrefix(w[2], "debian/") {
			return "" // deb_debianize sets these
		}
		return fmt.Sprintf("chmod %s '%s'", w[1], w[2])
	},
	"mkdir": func(w []string) string { return fmt.Sprintf("mkdir -p '%[2]s' && chmod %[1]s '%[2]s'", w[1], w[2]) },
	"symlink": func(w []string) string {
		return fmt.Sprintf("mkdir -p \"$(dirname '%[1]s')\" && ln -s '%[2]s' '%[1]s'", w[1], w[2])
	},
	"hardlink": func(w []string) string {
		return fmt.Sprintf("mkdir -p \"$(dirname '%[1]s')\" && ln '%[2]s' '%[1]s'", w[1], w[2])
	},
	"repeat": func(w []string) string {
		return fmt.Sprintf("mkdir -p \"$(dirname '%[2]s')\" && seq -f '%%06g a line of some length' %[1]s > '%[2]s'", w[1], w[2])
	},
}

var rawFields = map[string]string{"version": "PV", "arch": "DPKG_ARCH", "section": "DEBIAN_SECTION", "depends": "DEBIAN_DEPENDS", "provides": "DEBIAN_PROVIDES",
	"replaces": "DEBIAN_REPLACES", "breaks": "DEBIAN_BREAKS", "conflicts": "DEBIAN_CONFLICTS", "multi-arch": "DEBIAN_MULTI_ARCH", "preserve": "PRESERVE_PERMS", "maintainer": "MAINTAINER"}

// rawRecipe writes a recipe that makes a sample's package; it says no for samples that recipes cannot express.
func rawRecipe(t *testing.T, layer, path string) (name string, ok bool) {
	t.Helper()
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	name = strings.TrimSuffix(filepath.Base(path), ".txtar")
	b := &strings.Builder{}
	b.WriteString("inherit dpkg-raw\nDESCRIPTION = \"a sample\"\nMAINTAINER = \"Sample Maintainer <sample@samples.org>\"\n")
	install := "\tcp -R --preserve=mode ${WORKDIR}/image/. ${D}/\n\tcd ${S}\n"
	for line := range strings.SplitSeq(string(a.Comment), "\n") {
		if line == "" {
			continue
		}
		words := strings.Fields(line)
		if strings.ContainsAny(line, "|\\$'") || words[0] == "bytes" || words[0] == "touch" || words[0] == "beyond" || words[0] == "fails" {
			return name, false
		}
		if words[0] == "set" {
			field := rawFields[words[1]]
			if field == "" {
				return name, false
			}
			fmt.Fprintf(b, "%s = \"%s\"\n", field, strings.Join(words[2:], " "))
			continue
		}
		if cmd := rawCommands[words[0]]; cmd != nil && cmd(words) != "" {
			install += "\t" + cmd(words) + "\n"
		}
	}
	b.WriteString("SRC_URI = \"")
	dir := filepath.Join(layer, "recipes-raw", name)
	if err := os.MkdirAll(filepath.Join(dir, "files/image"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range a.Files {
		to, own := strings.CutPrefix(f.Name, "debian/")
		if to == "copyright" {
			to = "default-copyright"
		}
		if own {
			b.WriteString(" file://" + to)
		}
		to = filepath.Join(dir, "files", to)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "files/image/.keep"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	b.WriteString(" file://image\"\ndo_install() {\n" + install + "\trm -f ${D}/.keep\n}\n")
	return name, os.WriteFile(filepath.Join(dir, name+".bb"), []byte(b.String()), 0o644) == nil
}

// contents says all that a package holds, a line or so for each thing.
func contents(t *testing.T, path string) []string {
	t.Helper()
	d, err := deb.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	control, err := d.Control()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(control)) {
		out = append(out, fmt.Sprintf("%s %o", name, control[name].Mode))
		out = append(out, strings.Split(string(control[name].Data), "\n")...)
	}
	data, err := d.Data()
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	for tr := tar.NewReader(data); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		sum := md5.New()
		if _, err := io.Copy(sum, tr); err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%c %o %s/%s %d %x %s %s", h.Typeflag, h.Mode, h.Uname, h.Gname, h.ModTime.Unix(), sum.Sum(nil), h.Name, h.Linkname))
	}
}

var rawLog = regexp.MustCompile(`(?m)^(written directly|built with debhelper).*`)

// TestDpkgRawBothWays builds the packages of at least 25 recipes directly, and with debhelper in a build root, and compares all.
func TestDpkgRawBothWays(t *testing.T) {
	if os.Getenv("N3X_TEST_NETWORK") == "" {
		t.Skip("builds with Debian's debhelper: set N3X_TEST_NETWORK=1")
	}
	dir := project(t)
	samples, err := filepath.Glob("../../internal/debian/debhelper/testdata/corpus/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range samples {
		if name, ok := rawRecipe(t, filepath.Join(dir, "meta-isar-k3s"), s); ok {
			names = append(names, name)
		} else if err := os.RemoveAll(filepath.Join(dir, "meta-isar-k3s/recipes-raw", name)); err != nil {
			t.Fatal(err)
		}
	}
	if len(names) < 25 {
		t.Fatalf("only %d samples became recipes", len(names))
	}
	build := func(way string) map[string][]string {
		t.Helper()
		over := "header:\n  version: 14\nlocal_conf_header:\n  raw: |\n    N3X_DPKG_RAW = \"" + way + "\"\n    BBFILES += \"${TOPDIR}/../meta-isar-k3s/recipes-raw/*/*.bb\"\n"
		if err := os.WriteFile(filepath.Join(dir, "kas/raw.yml"), []byte(over), 0o644); err != nil {
			t.Fatal(err)
		}
		n3x(t, dir, 0, nil, "build", "kas/base.yml:kas/machine/qemu-amd64.yml:kas/raw.yml", "--cmd", "bitbake "+strings.Join(names, " "))
		out := map[string][]string{}
		for _, name := range names {
			debs, err := filepath.Glob(filepath.Join(dir, "build/tmp/work/*", name, "*", name+"_*.deb"))
			if err != nil || len(debs) != 1 {
				t.Fatalf("%s, %s: packages %q, %v", name, way, debs, err)
			}
			log, err := os.ReadFile(filepath.Join(filepath.Dir(debs[0]), "temp/log.do_dpkg_build"))
			if err != nil {
				t.Fatal(err)
			}
			if said := rawLog.Find(log); bytes.HasPrefix(said, []byte("written")) != (way == "direct") {
				t.Errorf("%s, %s: the log says %q", name, way, said)
			}
			out[name] = append([]string{filepath.Base(debs[0])}, contents(t, debs[0])...)
		}
		return out
	}
	direct, real := build("direct"), build("debhelper")
	for _, name := range names {
		if d := cmp.Diff(real[name], direct[name]); d != "" {
			t.Errorf("%s: debhelper -, direct +\n%s", name, d)
		}
	}
}
