package main

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSuites runs suites of the project as a user does: a boot without firmware, two machines with VLANs, and a bond that fails over ten times, each with its broken twins, which
// begin with the states of the suite's own run; and K3s, where DL_DIR has it. Costs five images that share all of Debian, and five boots.
func TestSuites(t *testing.T) {
	if os.Getenv("N3X_TEST_NETWORK") == "" || os.Getenv("N3X_TEST_VM") == "" {
		t.Skip("builds and boots whole images: set N3X_TEST_NETWORK=1 and N3X_TEST_VM=1")
	}
	dir := project(t)
	if err := os.CopyFS(filepath.Join(filepath.Dir(dir), "profiles"), os.DirFS("../../profiles")); err != nil {
		t.Fatal(err)
	}
	junit := filepath.Join(t.TempDir(), "junit.xml")
	out := n3x(t, dir, 0, nil, "test", "l1-direct", "l2-vlans", "faults-bond", "l3-k3s", "--junit", junit)
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
	own := map[string]bool{}
	for _, s := range results.Suites {
		twin := strings.Contains(s.Name, "(")
		own[s.Name] = !twin
		if s.Name == "l3-k3s" && s.Skipped == 1 && s.Tests == 1 && strings.Contains(string(data), "K3s is not there: ") {
			continue
		}
		if s.Failures+s.Errors > 0 || !twin && (s.Skipped > 0 || s.Tests < 5) {
			t.Errorf("%+v", s)
		}
	}
	if !own["l1-direct"] || !own["l2-vlans"] || !own["faults-bond"] || len(results.Suites) < 20 {
		t.Errorf("only these ran: %+v", results.Suites)
	}
	if strings.Contains(string(data), "its machines were booted") {
		t.Error("twins were booted instead of being restored")
	}
	t.Log(out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:])
	n3x(t, dir, 0, nil, "clean")
}
