package vmtest

import (
	"os"
	"path/filepath"
	"testing"
)

// TestProjectSuites reads the suites that the project has, as whoever runs them does: it needs no machine.
func TestProjectSuites(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../backends/isar/tests/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no suites: %v", err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Read(f, data)
		if err != nil {
			t.Error(err)
			continue
		}
		if s.Description == "" || len(s.Tags) == 0 || len(s.Twins) == 0 {
			t.Errorf("%s lacks a description, tags or twins", f)
		}
		names := map[string]bool{}
		for _, st := range s.Steps {
			if st.Name == "" || names[st.Name] {
				t.Errorf("%s: the name %q is missing, or there twice", st.Pos, st.Name)
			}
			names[st.Name] = true
		}
	}
}
