package cli

import "testing"

// kas-build is a program of its own, to which --cmd makes links: each must be the program that its name says.
func TestProgramsOfABuildFolder(t *testing.T) {
	t.Parallel()
	a := &app{name: "n3x"}
	for _, name := range buildPrograms {
		if got := Program("/build/n3x/bin/"+name, "kas-build"); got != name {
			t.Errorf("%s is taken for %s", name, got)
		}
		if name != "n3x" && a.originals()[name] == nil {
			t.Errorf("nothing answers to the name %s", name)
		}
	}
	for _, other := range []string{"kas-build", "./bin/kas-build", "/tmp/kas", "x-bitbake"} {
		if got := Program(other, "kas-build"); got != "kas-build" {
			t.Errorf("%s is taken for %s", other, got)
		}
	}
}
