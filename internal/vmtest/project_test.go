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

// TestSchemaFile compares the schema that lies beside the project's suites with the rules.
func TestSchemaFile(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../backends/isar/tests/suite.schema.json")
	if err != nil || string(data) != string(Schema()) {
		t.Errorf("backends/isar/tests/suite.schema.json is not what the rules say (%v); type: ./n3x test --schema > backends/isar/tests/suite.schema.json", err)
	}
}
