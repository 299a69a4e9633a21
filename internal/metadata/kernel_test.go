package metadata

import (
	"context"
	"os"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// The classes linux-kernel, linux-module, u-boot and per-kernel give recipes, and their variants, the names, dependencies,
// profiles and fragments that ISAR's give them.
func TestKernelClasses(t *testing.T) {
	t.Parallel()
	vectors, err := txtar.ParseFile("testdata/kernel.txtar")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"own/conf/machine/qemuamd64.conf": "DISTRO_ARCH ?= \"amd64\"\nKERNEL_NAME ?= \"amd64\"\n",
		"own/conf/machine/qemuarm64.conf": "DISTRO_ARCH ?= \"arm64\"\nKERNEL_NAME ?= \"arm64\"\n",
	}
	for _, f := range vectors.Files {
		if strings.HasSuffix(f.Name, ".bb") {
			files["own/"+f.Name] = string(f.Data)
		}
	}
	for _, name := range []string{"one.cfg", "no.cfg", "sub/two.cfg"} {
		files["own/files/"+name] = ""
	}
	for _, machine := range []string{"qemuamd64", "qemuarm64"} {
		t.Run(machine, func(t *testing.T) {
			t.Parallel()
			top := project(t, files)
			if err := os.WriteFile(top+"/conf/local.conf", []byte("MACHINE = \""+machine+"\"\nDISTRO = \"debian-trixie\"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			opened, err := Open(context.Background(), Options{TopDir: top, Env: map[string]string{}})
			if err != nil {
				t.Fatal(err)
			}
			defer opened.Close()
			compared := 0
			for _, f := range vectors.Files {
				name, ok := strings.CutPrefix(f.Name, machine+"/")
				if !ok {
					continue
				}
				r, err := opened.Provider("", name)
				if err != nil {
					t.Fatal(err)
				}
				for line := range strings.Lines(string(f.Data)) {
					variable, want, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
					got, err := r.Data.Value(variable)
					if err != nil {
						t.Fatal(err)
					}
					if got = strings.Join(strings.Fields(got), " "); got != want {
						t.Errorf("%s: %s is %q, want %q", name, variable, got, want)
					}
					compared++
				}
			}
			if compared < 30 {
				t.Errorf("only %d values were compared", compared)
			}
		})
	}
}
