package isar

import (
	"strings"
	"testing"

	"n3x/internal/bitbake/datastore"
)

func TestUnpackLimit(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int64{"": 0, "100": 100, "3K": 3 << 10, "20G": 20 << 30, "1 TiB": 1 << 40, "2gb": 2 << 30} {
		if got, err := unpackLimit(s); err != nil || got != want {
			t.Errorf("%q is read as %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"x", "-1", "0", "1.5G", "9999999T", "G", "1KM"} {
		if got, err := unpackLimit(s); err == nil {
			t.Errorf("%q is read as %d", s, got)
		}
	}
}

// A checksum may come from a variable, chosen by another one.
func TestChecksumFromVariables(t *testing.T) {
	t.Parallel()
	d := datastore.New()
	sum := strings.Repeat("ab", 32)
	for name, value := range map[string]string{"ARCH": "amd64", "SUM_amd64": sum} {
		if err := d.SetVar(name, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.SetVarFlag("SRC_URI", "x.sha256sum", "${SUM_${ARCH}}"); err != nil {
		t.Fatal(err)
	}
	sources, err := parseSources(&Call{Task: Task{Data: d}}, map[string]string{"SRC_URI": "https://example.org/a.tar;name=x", "WORKDIR": "/w"})
	if err != nil || sources[0].Sums["sha256"] != sum {
		t.Errorf("%v, %+v", err, sources)
	}
}
