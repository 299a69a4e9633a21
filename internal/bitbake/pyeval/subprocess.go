// SPDX-License-Identifier: MIT

package pyeval

import (
	"errors"
	"io/fs"
	"strings"

	"go.starlark.net/starlark"
)

func makeSubprocess() *module {
	return ns("subprocess", map[string]impl{
		"run": subRun, "call": subCall, "check_call": subCheckCall, "check_output": subCheckOutput, "Popen": subPopen,
		"getoutput": subGetoutput, "getstatusoutput": subGetstatusoutput, "list2cmdline": subList2cmdline,
	}, map[string]starlark.Value{
		"PIPE": number(streamPipe), "STDOUT": number(streamMerge), "DEVNULL": number(streamNull), "SubprocessError": subprocessError,
		"CalledProcessError": calledProcessError, "TimeoutExpired": timeoutExpired,
	})
}

// makeBBProcess is bb.process.
func makeBBProcess() *module {
	return ns("bb.process", map[string]impl{"run": bbProcessRun, "Popen": bbPopen}, map[string]starlark.Value{
		"CmdError": cmdError, "NotFoundError": cmdNotFoundError, "ExecutionError": executionError,
	})
}

func subList2cmdline(_ *run, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	s, err := commandLine(a.pos[0])
	return text(s), err
}

// finished starts a process with the arguments of subprocess.run and waits for it.
func (r *run) finished(fn string, a args, own map[string]starlark.Value) (*process, error) {
	own["timeout"] = nil
	p, err := r.newProcess("subprocess."+fn, a, own)
	if err != nil {
		return nil, err
	}
	if err := p.limit(own["timeout"]); err != nil {
		return nil, err
	}
	if truthy(own["capture_output"], false) {
		p.stdout, p.stderr = streamPipe, streamPipe
	}
	return p, p.start(r, own["input"])
}

// limit sets the time that the program may take.
func (p *process) limit(v starlark.Value) error {
	if isNone(v) {
		return nil
	}
	if !isNumber(v) {
		return raise(typeError, "unsupported operand type(s) for +: 'float' and '%s'", typeName(v))
	}
	seconds, err := toFloat(v)
	if err == nil && seconds <= 0 {
		return unsupported("%s() with this timeout", p.fn)
	}
	p.timeout = seconds
	return err
}

// failure is the exception for a status other than 0.
func (p *process) failure(withOutput bool) error {
	if p.result.Status == 0 {
		return nil
	}
	stdout, stderr := starlark.Value(starlark.None), starlark.Value(starlark.None)
	if withOutput {
		var err error
		if stdout, stderr, err = p.outputs(); err != nil {
			return err
		}
	}
	code := number(p.result.Status)
	return raiseWith(calledProcessError, starlark.Tuple{code, p.cmd},
		"returncode", code, "cmd", p.cmd, "output", stdout, "stdout", stdout, "stderr", stderr)
}

func subRun(r *run, a args) (starlark.Value, error) {
	own := map[string]starlark.Value{"input": nil, "capture_output": nil, "check": nil}
	p, err := r.finished("run", a, own)
	if err != nil {
		return nil, err
	}
	if truthy(own["check"], false) {
		if err := p.failure(true); err != nil {
			return nil, err
		}
	}
	stdout, stderr, err := p.outputs()
	if err != nil {
		return nil, err
	}
	return &namespace{kind: "CompletedProcess", attrs: map[string]starlark.Value{
		"args": p.cmd, "returncode": number(p.result.Status), "stdout": stdout, "stderr": stderr,
		"check_returncode": builtin("check_returncode", func(_ *run, a args) (starlark.Value, error) {
			if err := a.exactly(0); err != nil {
				return nil, err
			}
			return starlark.None, p.failure(true)
		}),
	}}, nil
}

func subCall(r *run, a args) (starlark.Value, error) {
	p, err := r.finished("call", a, map[string]starlark.Value{})
	if err != nil {
		return nil, err
	}
	return number(p.result.Status), nil
}

func subCheckCall(r *run, a args) (starlark.Value, error) {
	p, err := r.finished("check_call", a, map[string]starlark.Value{})
	if err != nil {
		return nil, err
	}
	return number(0), p.failure(false)
}

func subCheckOutput(r *run, a args) (starlark.Value, error) {
	for _, kv := range a.kw {
		if word(kv[0]) == "stdout" {
			return nil, raise(valueError, "stdout argument not allowed, it will be overridden.")
		}
	}
	a.kw = append(a.kw[:len(a.kw):len(a.kw)], starlark.Tuple{text("stdout"), number(streamPipe)})
	p, err := r.finished("check_output", a, map[string]starlark.Value{"input": nil})
	if err != nil {
		return nil, err
	}
	if err := p.failure(true); err != nil {
		return nil, err
	}
	stdout, _, err := p.outputs()
	return stdout, err
}

func subGetoutput(r *run, a args) (starlark.Value, error) {
	v, err := subGetstatusoutput(r, a)
	if err != nil {
		return nil, err
	}
	return v.(starlark.Tuple)[1], nil
}

// subGetstatusoutput gives the status and both streams as text without the last newline.
func subGetstatusoutput(r *run, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	a.kw = []starlark.Tuple{
		{text("shell"), boolean(true)}, {text("text"), boolean(true)}, {text("stdout"), number(streamPipe)}, {text("stderr"), number(streamMerge)},
	}
	p, err := r.finished(a.fn, a, map[string]starlark.Value{})
	if err != nil {
		return nil, err
	}
	stdout, _, err := p.outputs()
	if err != nil {
		return nil, err
	}
	return starlark.Tuple{number(p.result.Status), text(strings.TrimSuffix(word(stdout), "\n"))}, nil
}

func subPopen(r *run, a args) (starlark.Value, error) {
	p, err := r.newProcess("subprocess.Popen", a, map[string]starlark.Value{})
	if err != nil {
		return nil, err
	}
	if p.stdin == streamPipe {
		return p, nil // what it reads is known when communicate() is called
	}
	return p, p.start(r, nil)
}

// bbPopen is bb.process.Popen: all streams are pipes unless the caller says otherwise.
func bbPopen(r *run, a args) (starlark.Value, error) { return subPopen(r, bbProcessArgs(a)) }

func bbProcessArgs(a args) args {
	kw := a.kw[:len(a.kw):len(a.kw)]
next:
	for _, name := range []string{"stdout", "stderr", "stdin"} {
		for _, kv := range a.kw {
			if word(kv[0]) == name {
				continue next
			}
		}
		kw = append(kw, starlark.Tuple{text(name), number(streamPipe)})
	}
	a.kw = kw
	return a
}

// bbProcessRun is bb.process.run: standard output and error as text, or an exception of BitBake's.
func bbProcessRun(r *run, a args) (starlark.Value, error) {
	own := map[string]starlark.Value{"input": nil, "log": nil, "extrafiles": nil}
	shell := false
	for _, kv := range a.kw {
		shell = shell || word(kv[0]) == "shell"
	}
	if len(a.pos) > 1 {
		own["input"] = a.pos[1]
		a.pos = a.pos[:1]
	}
	a = bbProcessArgs(a)
	if len(a.pos) == 1 && !shell {
		if _, isText := a.pos[0].(starlark.String); isText {
			a.kw = append(a.kw, starlark.Tuple{text("shell"), boolean(true)})
		}
	}
	p, err := r.newProcess("bb.process.run", a, own)
	if err != nil {
		return nil, err
	}
	if !isNone(own["log"]) || !isNone(own["extrafiles"]) || p.text {
		return nil, unsupported("bb.process.run() with log, extrafiles or text")
	}
	if err := p.start(r, own["input"]); err != nil {
		return nil, bbProcessFailure(p, err)
	}
	p.text = true
	stdout, stderr, err := p.outputs()
	if err != nil {
		return nil, err
	}
	if code := number(p.result.Status); p.result.Status != 0 {
		return nil, raiseWith(executionError, starlark.Tuple{p.cmd, code, stdout, stderr}, "command", p.cmd, "msg", nil,
			"exitcode", code, "stdout", stdout, "stderr", stderr, "extra_message", nil)
	}
	return starlark.Tuple{stdout, stderr}, nil
}

// bbProcessFailure is the exception for a program that could not be started.
func bbProcessFailure(p *process, err error) error {
	x := asException(err)
	switch {
	case x == nil || !x.class.is(osError):
		return err
	case errors.Is(x.cause, fs.ErrNotExist):
		return raiseWith(cmdNotFoundError, starlark.Tuple{p.cmd}, "command", p.cmd, "msg", nil)
	}
	return raiseWith(cmdError, starlark.Tuple{p.cmd, x}, "command", p.cmd, "msg", x)
}

// attr is a method or field of a Popen object.
func (p *process) attr(name string) (starlark.Value, error) {
	switch name {
	case "communicate":
		return builtin(name, popenCommunicate(p)), nil
	case "wait", "poll":
		return builtin(name, func(r *run, a args) (starlark.Value, error) {
			if err := a.exactly(0); err != nil {
				return nil, unsupported("Popen.%s() with arguments", name)
			}
			if err := p.start(r, nil); err != nil {
				return nil, err
			}
			return number(p.result.Status), nil
		}), nil
	case "returncode":
		if !p.ran {
			return nil, unsupported("Popen.returncode before communicate() or wait()")
		}
		return number(p.result.Status), nil
	case "args":
		return p.cmd, nil
	case "stdout", "stderr":
		return p.pipe(name)
	}
	return nil, unsupported("the attribute %s of a Popen", name)
}

// pipe is the stream of a program that has run.
func (p *process) pipe(name string) (starlark.Value, error) {
	mode, content, file := p.stdout, p.result.Stdout, &p.outFile
	if name == "stderr" {
		mode, content, file = p.stderr, p.result.Stderr, &p.errFile
	}
	switch {
	case mode != streamPipe:
		return none()
	case !p.ran:
		return nil, unsupported("Popen.%s of a program that waits for input", name)
	case *file == nil:
		v, err := p.output(mode, content)
		if err != nil {
			return nil, err
		}
		f := &openFile{name: name, rest: string(content), binary: !p.text}
		if s, ok := v.(starlark.String); ok {
			f.rest = string(s)
		}
		*file = f
	}
	return *file, nil
}

func popenCommunicate(p *process) impl {
	return func(r *run, a args) (starlark.Value, error) {
		v, err := a.bind("input?", "timeout?")
		if err != nil {
			return nil, err
		}
		if !isNone(v[1]) || p.outFile != nil || p.errFile != nil {
			return nil, unsupported("Popen.communicate() with a timeout or after reading")
		}
		if p.stdin != streamPipe && !isNone(v[0]) {
			return nil, unsupported("Popen.communicate() with input that is not read from a pipe")
		}
		if err := p.start(r, v[0]); err != nil {
			return nil, err
		}
		stdout, stderr, err := p.outputs()
		return starlark.Tuple{stdout, stderr}, err
	}
}

// osPopen is os.popen for reading: the command's standard output as an open file.
func osPopen(r *run, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, unsupported("os.popen() with a mode")
	}
	if _, err := a.wantStr(a.pos[0]); err != nil {
		return nil, raise(typeError, "invalid cmd type (%s, expected string)", typeName(a.pos[0]))
	}
	a.kw = []starlark.Tuple{{text("shell"), boolean(true)}, {text("text"), boolean(true)}, {text("stdout"), number(streamPipe)}}
	p, err := r.newProcess("os.popen", a, map[string]starlark.Value{})
	if err != nil {
		return nil, err
	}
	if err := p.start(r, nil); err != nil {
		return nil, err
	}
	v, err := p.pipe("stdout")
	if err != nil {
		return nil, err
	}
	f := v.(*openFile)
	if status := p.result.Status; status != 0 {
		f.status = number(status << 8)
	}
	return f, nil
}

// osSystem runs a shell command and gives its wait status.
func osSystem(r *run, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	if _, err := a.wantStr(a.pos[0]); err != nil {
		return nil, err
	}
	a.kw = []starlark.Tuple{{text("shell"), boolean(true)}}
	p, err := r.newProcess("os.system", a, map[string]starlark.Value{})
	if err != nil {
		return nil, err
	}
	if err := p.start(r, nil); err != nil {
		return nil, err
	}
	if p.result.Status < 0 {
		return number(-p.result.Status), nil
	}
	return number(p.result.Status << 8), nil
}
