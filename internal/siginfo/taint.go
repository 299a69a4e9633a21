package siginfo

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"

	"n3x/internal/atomicfile"
	"n3x/internal/taskgraph"
)

// Force makes a task's signature another one from now on, so that it runs again and with it all that depends on it, in this
// build and in later ones, until the recipe is cleaned. As in BitBake, a file beside the stamp says so.
func Force(t *taskgraph.Task) error {
	stamp, err := Stamp(t)
	if err != nil {
		return err
	}
	return atomicfile.Write(stamp+taintSuffix, []byte(rand.Text()), 0o644)
}

const taintSuffix = ".taint"

// taint reads what [Force] wrote.
func taint(t *taskgraph.Task) (string, error) {
	stamp, err := Stamp(t)
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(stamp + taintSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(data), err
}
