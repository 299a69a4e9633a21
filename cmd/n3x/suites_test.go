package main

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSuites runs suites as a user does: two machines with VLANs, and a bond that fails over ten times, from firmware on; K3s, where DL_DIR has it; and, without
// firmware, the suite for any image with its broken twins, which begin with the states of the suite's own run. The twins of the project's own suites are left to
// bench/test/campaign. Costs five images that share all of Debian, and five boots.
func TestSuites(t *testing.T) {
	if os.Getenv("N3X_TEST_NETWORK") == "" || os.Getenv("N3X_TEST_VM") == "" {
		t.Skip("builds and boots whole images: set N3X_TEST_NETWORK=1 and N3X_TEST_VM=1")
	}
	dir := project(t)
	if err := os.CopyFS(filepath.Join(filepath.Dir(dir), "profiles"), os.DirFS("../../profiles")); err != nil {
		t.Fatal(err)
	}
	chain := "kas/base.yml:kas/machine/qemu-amd64.yml:kas/image/base.yml:kas/network/simple.yml"
	for _, run := range []struct {
		args []string
		want []string // suites and twins, in their order
	}{
		{[]string{chain, "--direct"}, []string{"simple", "simple (a unit fails)", "simple (a unit fails a little later)", "simple (the root file system is read-only)"}},
		{[]string{"l2-vlans", "faults-bond", "l3-k3s", "--no-twins"}, []string{"faults-bond", "l2-vlans", "l3-k3s"}},
	} {
		junit := filepath.Join(t.TempDir(), "junit.xml")
		out := n3x(t, dir, 0, nil, append([]string{"test", "--junit", junit}, run.args...)...)
		if i := strings.Index(out, "\nok "); i >= 0 {
			t.Log(out[i:])
		}
		checkResults(t, junit, run.want)
	}
	n3x(t, dir, 0, nil, "clean")
}

// checkResults looks whether these suites and twins have run, and passed. K3s may be missing.
func checkResults(t *testing.T, junit string, want []string) {
	t.Helper()
	data, err := os.ReadFile(junit)
	if err != nil {
		t.Fatal(err)
	}
	var results struct {
		Suites []struct {
			Name     string `xml:"name,attr"`
			Tests    int    `xml:"tests,attr"`
			Failures int    `xml:"failures,attr"`
			Errors   int    `xml:"errors,attr"`
			Skipped  int    `xml:"skipped,attr"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(data, &results); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range results.Suites {
		got = append(got, s.Name)
		if s.Name == "l3-k3s" && s.Skipped == 1 && s.Tests == 1 && strings.Contains(string(data), "K3s is not there: ") {
			continue
		}
		if s.Failures+s.Errors+s.Skipped > 0 || s.Tests == 0 {
			t.Errorf("%+v", s)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if strings.Contains(string(data), "its machines were booted") {
		t.Error("twins were booted instead of being restored")
	}
}
