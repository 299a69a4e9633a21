// SPDX-License-Identifier: MIT

package pyeval

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"
)

// The exceptions of subprocess and of bb.process.
var (
	subprocessError    = class("SubprocessError", exception)
	calledProcessError = textClass("CalledProcessError", subprocessError, calledProcessText)
	timeoutExpired     = textClass("TimeoutExpired", subprocessError, timeoutText)
	cmdError           = textClass("CmdError", runtimeError, cmdErrorText)
	cmdNotFoundError   = textClass("NotFoundError", cmdError, cmdNotFoundText)
	executionError     = textClass("ExecutionError", cmdError, executionText)
)

// textClass is a class whose exceptions have a text of their own.
func textClass(name string, base *excClass, text func(*exc) (string, error)) *excClass {
	c := class(name, base)
	c.text = text
	return c
}

// raiseWith makes an exception with attributes.
func raiseWith(c *excClass, with starlark.Tuple, attrs ...any) error {
	x := &exc{class: c, args: with, attrs: map[string]starlark.Value{}}
	for i := 0; i+1 < len(attrs); i += 2 {
		v, ok := attrs[i+1].(starlark.Value)
		if !ok || v == nil {
			v = starlark.None
		}
		x.attrs[attrs[i].(string)] = v
	}
	return &raised{x}
}

// commandLine is the command as list2cmdline writes it.
func commandLine(cmd starlark.Value) (string, error) {
	if s, ok := cmd.(starlark.String); ok {
		return string(s), nil
	}
	l, ok := cmd.(*starlark.List)
	if !ok {
		return "", unsupported("the text of a command that is a %s", typeName(cmd))
	}
	var parts []string
	for _, v := range elems(l) {
		s, ok := v.(starlark.String)
		if !ok || strings.ContainsAny(string(s), "\\\"") {
			return "", unsupported("the text of this command")
		}
		part := string(s)
		if part == "" || strings.ContainsAny(part, " \t") {
			part = `"` + part + `"`
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, " "), nil
}

// signalNames are the signals that end programs.
var signalNames = map[int]string{1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM"}

// calledProcessText is str() of subprocess.CalledProcessError.
func calledProcessText(x *exc) (string, error) {
	if len(x.args) < 2 {
		return "", unsupported("the text of a CalledProcessError that is not subprocess's own")
	}
	cmd, err := str(x.args[1])
	if err != nil {
		return "", err
	}
	code, err := args{fn: "CalledProcessError"}.wantInt(x.args[0], 0)
	switch {
	case err != nil:
		return "", err
	case code >= 0:
		return fmt.Sprintf("Command '%s' returned non-zero exit status %d.", cmd, code), nil
	case signalNames[-code] == "":
		return "", unsupported("the text of a program's end by signal %d", -code)
	}
	return fmt.Sprintf("Command '%s' died with <Signals.%s: %d>.", cmd, signalNames[-code], -code), nil
}

func timeoutText(x *exc) (string, error) {
	if len(x.args) < 2 {
		return "", unsupported("the text of a TimeoutExpired that is not subprocess's own")
	}
	cmd, err := str(x.args[0])
	if err != nil {
		return "", err
	}
	seconds, err := str(x.args[1])
	return fmt.Sprintf("Command '%s' timed out after %s seconds", cmd, seconds), err
}

// cmdErrorText is str() of bb.process.CmdError: the command, and what the system said.
func cmdErrorText(x *exc) (string, error) {
	if len(x.args) == 0 {
		return "", unsupported("the text of a %s without a command", x.class.name)
	}
	cmd, err := commandLine(x.args[0])
	if err != nil {
		return "", err
	}
	out := fmt.Sprintf("Execution of '%s' failed", cmd)
	if x.class.name != "CmdError" || len(x.args) < 2 || !x.args[1].Truth() {
		return out, nil
	}
	msg, err := str(x.args[1])
	return out + ": " + msg, err
}

func cmdNotFoundText(x *exc) (string, error) {
	s, err := cmdErrorText(x)
	return s + ": command not found", err
}

// executionText is str() of bb.process.ExecutionError(command, exitcode, stdout, stderr).
func executionText(x *exc) (string, error) {
	out, err := cmdErrorText(x)
	if err != nil {
		return "", err
	}
	if len(x.args) < 2 {
		return "", unsupported("the text of an ExecutionError without a status")
	}
	code, err := str(x.args[1])
	if err != nil {
		return "", err
	}
	message := ""
	for _, i := range []int{3, 2} { // standard error first
		if len(x.args) <= i || !x.args[i].Truth() {
			continue
		}
		s, ok := x.args[i].(starlark.String)
		if !ok {
			return "", raise(typeError, "can only concatenate str (not \"%s\") to str", typeName(x.args[i]))
		}
		message += string(s)
	}
	if message != "" {
		message = ":\n" + message
	}
	return out + " with exit code " + code + message, nil
}
