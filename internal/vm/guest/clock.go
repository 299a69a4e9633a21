package guest

import (
	"context"
	"fmt"
	"time"
)

// Clock is how far the guest's clock is ahead of this host's; behind it when negative. The answer's way adds some milliseconds.
func (a *Agent) Clock(ctx context.Context) (time.Duration, error) {
	var now int64
	asked := time.Now()
	if err := a.call(ctx, "guest-get-time", nil, &now); err != nil {
		return 0, fmt.Errorf("ask for the guest's clock: %w", err)
	}
	return time.Unix(0, now).Sub(asked.Add(time.Since(asked) / 2)), nil
}

// clockSlack is how wrong a clock may be that has been set: an emulated guest on a busy host takes its time for it.
const clockSlack = 5 * time.Second

// SetClock sets the guest's clock to be that far ahead of this host's. A system without hwclock, which the agent also wants to set, is no
// error when its clock is right afterwards.
func (a *Agent) SetClock(ctx context.Context, ahead time.Duration) error {
	set := a.call(ctx, "guest-set-time", map[string]int64{"time": time.Now().Add(ahead).UnixNano()}, nil)
	is, err := a.Clock(ctx)
	switch {
	case err != nil:
		return err
	case (is - ahead).Abs() <= clockSlack:
		return nil
	case set != nil:
		return fmt.Errorf("set the guest's clock: %w", set)
	}
	return fmt.Errorf("set the guest's clock: it is %s off afterwards", (is - ahead).Round(time.Millisecond))
}

// Hold makes all other requests wait until release is called. It returns when none is under way, so that the machine can be put into another
// state, in which no answer is expected any more.
func (a *Agent) Hold(ctx context.Context) (release func(), err error) {
	select {
	case <-a.turn:
	case <-ctx.Done():
		return nil, &silentError{"hold", context.Cause(ctx)}
	}
	return func() {
		a.clean = false // what the agent of another state has written may still come
		a.turn <- struct{}{}
	}, nil
}
