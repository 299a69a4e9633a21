// SPDX-License-Identifier: MIT

package pyeval

import (
	"context"
	"errors"
	"iter"

	"go.starlark.net/starlark"
)

// errStopped ends the body of a generator that nobody asks any more.
var errStopped = errors.New("generator stopped")

const maxGenerators = 100 // running at once, each inside of another

// coroutine is the body of a generator function on a machine of its own. It runs only while the
// consumer waits for its next item, so that nothing happens earlier than in CPython.
type coroutine struct {
	r      *run
	thread *starlark.Thread
	yield  func(starlark.Value) bool
	err    error
}

// helpCoroutine makes the iterator that a generator function returns; its argument is the body.
func helpCoroutine(r *run, a starlark.Tuple) (starlark.Value, error) {
	if err := r.tick(1000); err != nil { // a machine costs memory until the evaluation ends
		return nil, err
	}
	c := &coroutine{r: r, thread: r.newThread()}
	c.thread.SetLocal(coroutineKey, c)
	stop := context.AfterFunc(r.ctx, func() { c.thread.Cancel("cancelled") })
	next, end := iter.Pull(func(yield func(starlark.Value) bool) {
		c.yield = yield
		_, c.err = starlark.Call(c.thread, a[0], nil, nil)
	})
	r.closers = append(r.closers, func() { end(); stop() })
	return &iterator{kind: "generator", next: func() (starlark.Value, bool, error) { return c.resume(next) }}, nil
}

const coroutineKey = "coroutine"

// resume runs the body up to its next yield.
func (c *coroutine) resume(next func() (starlark.Value, bool)) (starlark.Value, bool, error) {
	r := c.r
	if r.thread == c.thread {
		return nil, false, raise(valueError, "generator already executing")
	}
	if r.nested++; r.nested > maxGenerators {
		r.nested--
		return nil, false, raise(recursionError, "maximum recursion depth exceeded")
	}
	outer := r.thread
	r.thread = c.thread
	v, ok := next()
	r.thread = outer
	r.nested--
	err := c.err
	c.err = nil
	if x := asException(err); x != nil && x.class.is(stopIteration) {
		err = raise(runtimeError, "generator raised StopIteration")
	}
	return v, ok, err
}

// helpYield hands a value to the consumer.
func helpYield(r *run, a starlark.Tuple) (starlark.Value, error) {
	c, ok := r.thread.Local(coroutineKey).(*coroutine)
	if !ok {
		return nil, unsupported("yield here")
	}
	if !c.yield(a[0]) {
		return nil, errStopped
	}
	return none()
}

// helpYieldFrom hands over all values of an iterable.
func helpYieldFrom(r *run, a starlark.Tuple) (starlark.Value, error) {
	next, err := r.iterate(a[0])
	if err != nil {
		return nil, err
	}
	for {
		v, ok, err := next()
		if !ok || err != nil {
			return starlark.None, err
		}
		if _, err := helpYield(r, starlark.Tuple{v}); err != nil {
			return nil, err
		}
	}
}
