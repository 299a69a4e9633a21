// SPDX-License-Identifier: MIT

package pyeval

import (
	"go.starlark.net/starlark"
)

// helpTry runs a try statement: $try(body, [(types, handler, forget)...], else, finally).
func helpTry(r *run, a starlark.Tuple) (starlark.Value, error) {
	how, err := r.guarded(a)
	if a[3] == starlark.None {
		return how, err
	}
	if err != nil && asException(err) == nil {
		return nil, err // a refusal or a cancellation: nothing more is run
	}
	last, lastErr := r.call(a[3])
	switch {
	case lastErr != nil:
		return nil, lastErr
	case last != starlark.None: // return, break or continue in finally wins over an exception
		return last, nil
	}
	return how, err
}

// guarded runs body, handlers and else.
func (r *run) guarded(a starlark.Tuple) (starlark.Value, error) {
	how, err := r.call(a[0])
	x := asException(err)
	if err != nil && x == nil {
		return nil, err
	}
	if x == nil {
		if how == starlark.None && a[2] != starlark.None {
			return r.call(a[2])
		}
		return how, nil
	}
	for _, h := range elems(a[1].(*starlark.List)) {
		h := h.(starlark.Tuple)
		ok, matchErr := r.catches(h[0], x)
		if matchErr != nil {
			return nil, matchErr
		}
		if !ok {
			continue
		}
		how, err := r.call(h[1], x)
		if h[2] != starlark.None {
			if _, forgetErr := r.call(h[2]); err == nil {
				err = forgetErr
			}
		}
		return how, err
	}
	return nil, err
}

// catches reports whether a handler's classes include that of x.
func (r *run) catches(types starlark.Value, x *exc) (bool, error) {
	if types == starlark.None {
		return true, nil
	}
	v, err := r.call(types)
	if err != nil {
		return false, err
	}
	classes, ok := v.(starlark.Tuple)
	if !ok {
		classes = starlark.Tuple{v}
	}
	for _, c := range classes {
		c, ok := c.(*excClass)
		if !ok {
			return false, raise(typeError, "catching classes that do not inherit from BaseException is not allowed")
		}
		if x.class.is(c) {
			return true, nil
		}
	}
	return false, nil
}

// helpRaise is raise x from cause.
func helpRaise(r *run, a starlark.Tuple) (starlark.Value, error) {
	switch x := a[0].(type) {
	case *excClass:
		if x.attrs != nil {
			v, err := x.construct(r.thread, nil, nil)
			if err != nil {
				return nil, err
			}
			return nil, &raised{v.(*exc)}
		}
		return nil, &raised{&exc{class: x}}
	case *exc:
		return nil, &raised{x}
	}
	return nil, raise(typeError, "exceptions must derive from BaseException")
}

func helpAssert(_ *run, a starlark.Tuple) (starlark.Value, error) {
	x := &exc{class: assertionError}
	if a[0] != starlark.None {
		x.args = starlark.Tuple{a[0]}
	}
	return nil, &raised{x}
}

// helpOpen enters a context manager: a file, or a program that has been started.
func helpOpen(_ *run, a starlark.Tuple) (starlark.Value, error) {
	switch a[0].(type) {
	case *openFile, *process:
		return a[0], nil
	}
	return nil, unsupported("with and a %s object", typeName(a[0]))
}

// helpWith runs the body of a with statement and leaves the context manager.
func helpWith(r *run, a starlark.Tuple) (starlark.Value, error) {
	how, err := r.call(a[1])
	switch m := a[0].(type) {
	case *openFile:
		m.closed = true
	case *process:
		if startErr := m.start(r, nil); err == nil {
			err = startErr
		}
	}
	return how, err
}
