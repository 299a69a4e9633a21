package taskgraph

import (
	"slices"
	"testing"
)

func TestParseTargets(t *testing.T) {
	t.Parallel()
	got, err := ParseTargets([]string{"a", "b:do_fetch", "mc:x:c", "multiconfig:x:virtual/d:fetch", "mc::e"}, "do_unpack")
	want := []Target{{"", "a", "unpack"}, {"", "b", "fetch"}, {"x", "c", "unpack"}, {"x", "virtual/d", "fetch"}, {"", "e", "unpack"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if got, err := ParseTargets([]string{"a"}, ""); err != nil || got[0].Task != "build" {
		t.Errorf("without a task: %v, %v", got, err)
	}
	for _, bad := range []string{"mc:x", "mc:x:"} {
		if _, err := ParseTargets([]string{bad}, ""); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
