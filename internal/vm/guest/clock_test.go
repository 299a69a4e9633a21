package guest

import (
	"context"
	"strings"
	"testing"
	"time"
)

// TestClock: a clock is read and set; one that cannot be set is an error, but not the lack of hwclock when it is right.
func TestClock(t *testing.T) {
	t.Parallel()
	a, g := start(t)
	for _, tt := range []struct {
		ahead, set time.Duration
		stuck      bool
		want       string
	}{
		{0, 0, false, ""}, {time.Hour, 0, false, ""}, {0, -48 * time.Hour, false, ""},
		{time.Hour, 0, true, "set the guest's clock: guest-set-time: hwclock failed"}, {2 * time.Second, 0, true, ""},
	} {
		g.mu.Lock()
		g.ahead, g.stuck = tt.ahead, tt.stuck
		g.mu.Unlock()
		if got, err := a.Clock(t.Context()); err != nil || (got-tt.ahead).Abs() > time.Second {
			t.Errorf("the clock is %s ahead, %v; want %s", got, err, tt.ahead)
		}
		if err := a.SetClock(t.Context(), tt.set); tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%v, want %q", err, tt.want)
		}
		if got, err := a.Clock(t.Context()); !tt.stuck && (err != nil || (got-tt.set).Abs() > time.Second) {
			t.Errorf("the clock is %s ahead, %v; want %s", got, err, tt.set)
		}
	}
}

// TestHold: while somebody holds the agent nobody is answered, and what it wrote meanwhile is no answer afterwards.
func TestHold(t *testing.T) {
	t.Parallel()
	a, g := start(t)
	if _, err := a.Clock(t.Context()); err != nil {
		t.Fatal(err)
	}
	release, err := a.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := a.Clock(ctx); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("%v", err)
	}
	if _, err := a.Hold(ctx); err == nil {
		t.Error("two hold the agent")
	}
	g.mu.Lock()
	g.noise = "{\"return\": 77}\n"
	g.mu.Unlock()
	release()
	if got, err := a.Clock(t.Context()); err != nil || got.Abs() > time.Second {
		t.Errorf("%s, %v", got, err)
	}
}
