package cpython

import (
	"context"
	"errors"
	"testing"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/pyeval"
)

// A runaway value ends in Python's own exception; the process goes on, and so does the machine.
func TestMemory(t *testing.T) {
	t.Parallel()
	r := newRuntime(t, Options{Memory: 256 << 20})
	site := pyeval.Site{Vars: datastore.New()}
	_, err := r.Eval(context.Background(), "len('x' * (1 << 30))", site)
	var e *pyeval.Exception
	if !errors.As(err, &e) || e.Type != "MemoryError" {
		t.Errorf("error is %v, want a MemoryError", err)
	}
	if got, err := r.Eval(context.Background(), "1 + 1", site); got != "2" || err != nil {
		t.Errorf("afterwards: %q, %v", got, err)
	}
}
