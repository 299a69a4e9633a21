// SPDX-License-Identifier: MIT

package pyeval

import (
	"errors"
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"n3x/internal/diag"
)

// excClass is an exception class.
type excClass struct {
	name string
	base *excClass
	text func(*exc) (string, error) // str() of its exceptions; nil = that of the base

	attrs  map[string]starlark.Value // of a class that Python code defines; nil for others
	frozen bool
}

// exc is an exception; raised carries it through Go.
type exc struct {
	class *excClass
	args  starlark.Tuple
	attrs map[string]starlark.Value
	cause error // the Go error that became this exception, if any
}

type raised struct{ exc *exc }

func (r *raised) Error() string { return r.exc.class.name + ": " + r.exc.text() }

// text is str() of the exception, without the refusals that str() of its arguments may give.
func (x *exc) text() string {
	s, err := x.str()
	if err != nil {
		return fmt.Sprint(x.args)
	}
	return s
}

func (x *exc) str() (string, error) {
	for c := x.class; c != nil; c = c.base {
		if c.attrs["__str__"] != nil {
			return "", unsupported("the method __str__ of the class %s", c.name)
		}
		if c.text != nil {
			return c.text(x)
		}
	}
	switch {
	case len(x.args) == 0:
		return "", nil
	case len(x.args) == 1 && x.class.is(keyError):
		return repr(x.args[0])
	case len(x.args) == 1:
		return str(x.args[0])
	case x.class.is(osError) && x.attrs["filename"] != nil:
		name, err := repr(x.attrs["filename"])
		return fmt.Sprintf("[Errno %v] %s: %s", x.args[0], plain(x.args[1]), name), err
	}
	return repr(x.args)
}

func (c *excClass) is(of *excClass) bool {
	for ; c != nil; c = c.base {
		if c == of {
			return true
		}
	}
	return false
}

func class(name string, base *excClass) *excClass { return &excClass{name: name, base: base} }

// The exception classes that metadata can name; see also the bb module.
var (
	baseException       = class("BaseException", nil)
	exception           = class("Exception", baseException)
	systemExit          = class("SystemExit", baseException)
	keyboardInterrupt   = class("KeyboardInterrupt", baseException)
	arithmeticError     = class("ArithmeticError", exception)
	zeroDivisionError   = class("ZeroDivisionError", arithmeticError)
	overflowError       = class("OverflowError", arithmeticError)
	assertionError      = class("AssertionError", exception)
	attributeError      = class("AttributeError", exception)
	eofError            = class("EOFError", exception)
	importError         = class("ImportError", exception)
	moduleNotFoundError = class("ModuleNotFoundError", importError)
	lookupError         = class("LookupError", exception)
	indexError          = class("IndexError", lookupError)
	keyError            = class("KeyError", lookupError)
	nameError           = class("NameError", exception)
	unboundLocalError   = class("UnboundLocalError", nameError)
	osError             = class("OSError", exception)
	fileExistsError     = class("FileExistsError", osError)
	fileNotFoundError   = class("FileNotFoundError", osError)
	isADirectoryError   = class("IsADirectoryError", osError)
	notADirectoryError  = class("NotADirectoryError", osError)
	permissionError     = class("PermissionError", osError)
	runtimeError        = class("RuntimeError", exception)
	notImplementedError = class("NotImplementedError", runtimeError)
	recursionError      = class("RecursionError", runtimeError)
	stopIteration       = class("StopIteration", exception)
	typeError           = class("TypeError", exception)
	valueError          = class("ValueError", exception)
	unicodeError        = class("UnicodeError", valueError)
	unicodeDecodeError  = class("UnicodeDecodeError", unicodeError)
	unicodeEncodeError  = class("UnicodeEncodeError", unicodeError)

	reError            = class("error", exception)
	skipRecipe         = class("SkipRecipe", exception)
	skipPackage        = class("SkipPackage", skipRecipe)
	parseError         = class("ParseError", exception)
	bbHandledException = class("BBHandledException", exception)
	expansionError     = class("ExpansionError", exception)
	fetchError         = class("BBFetchException", exception)
	fetchFailure       = class("FetchError", fetchError)
	malformedURL       = class("MalformedUrl", fetchError)
	versionException   = class("VersionStringException", exception)
	jsonDecodeError    = class("JSONDecodeError", valueError)
	builtinExceptions  = []*excClass{
		baseException, exception, systemExit, keyboardInterrupt, arithmeticError, zeroDivisionError, overflowError, assertionError,
		attributeError, eofError, importError, moduleNotFoundError, lookupError, indexError, keyError, nameError,
		unboundLocalError, osError, fileExistsError, fileNotFoundError, isADirectoryError, notADirectoryError,
		permissionError, runtimeError, notImplementedError, recursionError, stopIteration, typeError, valueError,
		unicodeError, unicodeDecodeError, unicodeEncodeError,
	}
)

// raise makes an exception with one text argument.
func raise(c *excClass, format string, args ...any) error {
	return &raised{&exc{class: c, args: starlark.Tuple{starlark.String(fmt.Sprintf(format, args...))}}}
}

// unsupported refuses a construct; where it stands is filled in on the way out.
func unsupported(format string, args ...any) error {
	return &Unsupported{Construct: fmt.Sprintf(format, args...)}
}

// fromVars turns an error of the datastore into an exception, unless it must not be caught.
func fromVars(err error) error {
	var u *Unsupported
	var skip *SkipRecipe
	switch {
	case err == nil:
		return nil
	case errors.As(err, &u), isCancel(err):
		return err
	case errors.As(err, &skip):
		return &raised{&exc{class: skipRecipe, args: starlark.Tuple{starlark.String(skip.Reason)}, cause: err}}
	}
	return &raised{&exc{class: expansionError, args: starlark.Tuple{starlark.String(err.Error())}, cause: err}}
}

// asException finds the Python exception behind an error of the Starlark machine; nil if there is
// none, i.e. the error is a refusal or a cancellation.
func asException(err error) *exc {
	var r *raised
	if errors.As(err, &r) {
		return r.exc
	}
	var u *Unsupported
	if errors.As(err, &u) || isCancel(err) {
		return nil
	}
	var ev *starlark.EvalError
	if !errors.As(err, &ev) {
		return nil
	}
	if c := nativeClass(ev.Msg); c != nil {
		return &exc{class: c, args: starlark.Tuple{starlark.String(ev.Msg)}}
	}
	return nil
}

// nativeClass maps the few messages that the Starlark machine itself can give.
func nativeClass(msg string) *excClass {
	switch {
	case strings.Contains(msg, "referenced before assignment"):
		return unboundLocalError
	case strings.HasPrefix(msg, "function ") || strings.Contains(msg, "invalid call of non-function"):
		return typeError
	}
	return nil
}

// finish turns an error of the machine into one of this package's error types, with its place.
func (r *run) finish(err error, at func(file string, line int) diag.Pos) error {
	if err == nil {
		return nil
	}
	if r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	pos := r.site.Pos
	var ev *starlark.EvalError
	if errors.As(err, &ev) {
		for i := len(ev.CallStack) - 1; i >= 0; i-- {
			if p := ev.CallStack[i].Pos; p.Line > 0 && p.Filename() != "<builtin>" {
				pos = at(p.Filename(), int(p.Line))
				break
			}
		}
	}
	var u *Unsupported
	if errors.As(err, &u) {
		if u.Pos.IsZero() {
			u = &Unsupported{Pos: pos, Construct: u.Construct, Source: u.Source}
		}
		if u.Source == "" {
			u.Source = r.sourceLine(pos)
		}
		return u
	}
	x := asException(err)
	if x == nil {
		return &Unsupported{Pos: pos, Construct: "this (" + err.Error() + ")", Source: r.sourceLine(pos)}
	}
	return x.final(pos)
}

// final is the error that an uncaught exception becomes.
func (x *exc) final(pos diag.Pos) error {
	switch {
	case x.class.is(skipRecipe):
		return &SkipRecipe{Pos: pos, Reason: x.text()}
	case x.class.is(bbHandledException):
		return &Fatal{Pos: pos, Text: x.text()}
	}
	return &Exception{Pos: pos, Type: x.class.name, Text: x.text(), Err: x.cause}
}
