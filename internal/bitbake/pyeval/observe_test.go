// SPDX-License-Identifier: MIT

package pyeval

import (
	"context"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// noticing is a datastore that notes what it is told.
type noticing struct {
	*fakeVars
	seen []Observation
}

func (n *noticing) Observe(o Observation) { n.seen = append(n.seen, o) }

func TestObserve(t *testing.T) {
	in := New(Options{
		Environ: map[string]string{"HOME": "/h"}, Cwd: "/w", Now: func() time.Time { return time.Unix(1, 0) },
		Files: memFiles{fstest.MapFS{"w/a": {Data: []byte("x")}}},
	})
	for _, c := range []struct {
		expr string
		want []Observation
	}{
		{"1 + 1", nil},
		{"os.path.exists('a')", []Observation{{LookedAtType, "/w/a"}}},
		{"os.path.exists('/none')", []Observation{{LookedAtType, "/none"}}},
		{"os.path.getmtime('/w/a')", []Observation{{LookedAtFile, "/w/a"}}},
		{"open('/w/a').read()", []Observation{{LookedAtContent, "/w/a"}}},
		{"os.listdir('/w')", []Observation{{LookedAtDir, "/w"}}},
		{"os.environ.get('HOME')", []Observation{{LookedAtEnv, "HOME"}}},
		{"os.environ.get('NONE')", []Observation{{LookedAtEnv, "NONE"}}},
		{"os.environ.copy()", []Observation{{LookedAtEnv, ""}}},
		{"int(time.time())", []Observation{{LookedAtClock, ""}}},
	} {
		v := &noticing{fakeVars: newFakeVars(in, nil)}
		if _, err := in.Eval(context.Background(), c.expr, site(v, nil)); err != nil {
			t.Errorf("%s: %v", c.expr, err)
		}
		if diff := cmp.Diff(c.want, v.seen); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.expr, diff)
		}
	}
}
