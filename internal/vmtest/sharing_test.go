package vmtest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSharing(t *testing.T) {
	t.Parallel()
	pair := suiteOf(t, "a", twoNodes)
	other := suiteOf(t, "b", "profile: p\nmachines: {one: {}, b: {node: two}}\nsteps: [{machine: b, run: y}]\n") // other kas files, but the same images
	more := suiteOf(t, "c", "profile: p\nmachines: {one: {memory: 512}, b: {node: two}}\nsteps: [{machine: b, run: y}]\n")
	images := []string{"1.wic", "2.wic"}
	jobs := []job{
		{suite: pair, images: images}, {suite: more, images: images}, {suite: other, images: images}, {suite: pair, images: []string{"1.wic", "3.wic"}},
		{suite: pair, images: images, skipped: "not here"}, {suite: pair, images: images, err: errNotReached}, {suite: pair, images: images},
	}
	if d := cmp.Diff([][]int{{0, 2, 6}, {1}, {3}, {4}, {5}}, sharing(jobs)); d != "" {
		t.Error(d)
	}
}
