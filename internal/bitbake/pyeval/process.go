// SPDX-License-Identifier: MIT

package pyeval

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"go.starlark.net/starlark"
)

// Command is a program that metadata starts while it is parsed.
type Command struct {
	Args  []string          // the program and its arguments; nil when Shell is used
	Shell string            // text for /bin/sh -c
	Dir   string            // the current directory, absolute
	Env   map[string]string // the whole environment
	Stdin []byte
	Merge bool // standard error goes into standard output, in the order of writing
}

// Result is what a program leaves behind. Status is the exit status, or minus the number of the signal that ended it.
type Result struct {
	Stdout, Stderr []byte
	Status         int
}

// Where a stream of a program goes, in subprocess's numbers.
const (
	streamInherit = 0
	streamPipe    = -1
	streamMerge   = -2
	streamNull    = -3
)

// process is one use of subprocess: the program runs when its result is first needed, which is at once unless it still
// waits for input.
type process struct {
	opaque
	fn             string
	cmd            starlark.Value // as given: a str or a list
	command        Command
	stdin          int
	stdout, stderr int
	text           bool
	timeout        float64 // seconds; 0 = none
	ran            bool
	result         Result
	outFile        *openFile
	errFile        *openFile
}

func (*process) String() string { return "<Popen>" }
func (*process) Type() string   { return "Popen" }

// ignoredProcessArgs change nothing that metadata can see, as long as their values are plain.
var ignoredProcessArgs = map[string]bool{
	"bufsize": true, "close_fds": true, "preexec_fn": true, "restore_signals": true, "start_new_session": true, "startupinfo": true,
}

var refusedProcessArgs = map[string]bool{
	"executable": true, "errors": true, "creationflags": true, "pass_fds": true, "user": true, "group": true, "extra_groups": true, "umask": true,
	"pipesize": true, "process_group": true, "input": true, "capture_output": true, "check": true, "timeout": true, "log": true, "extrafiles": true,
}

// newProcess reads the arguments of subprocess.Popen; extra ones stand in own.
func (r *run) newProcess(fn string, a args, own map[string]starlark.Value) (*process, error) {
	if r.in.opts.Run == nil {
		return nil, unsupported("%s(), which starts a program", fn)
	}
	if len(a.pos) > 1 {
		return nil, unsupported("%s() with positional arguments behind the command", fn)
	}
	p := &process{fn: fn}
	if len(a.pos) == 1 {
		p.cmd = a.pos[0]
	}
	shell := false
	for _, kv := range a.kw {
		name, v := word(kv[0]), kv[1]
		if _, mine := own[name]; mine {
			own[name] = v
			continue
		}
		if name == "shell" {
			shell = truthy(v, false)
			continue
		}
		if err := p.option(r, name, v); err != nil {
			return nil, err
		}
	}
	if p.cmd == nil {
		return nil, raise(typeError, "Popen.__init__() missing 1 required positional argument: 'args'")
	}
	if p.command.Env == nil {
		p.command.Env = maps.Clone(r.in.opts.Environ)
		if p.command.Env == nil {
			p.command.Env = map[string]string{}
		}
		maps.Copy(p.command.Env, r.exported)
	}
	if p.command.Dir == "" {
		p.command.Dir = r.in.opts.Cwd
	}
	return p, p.setCommand(r, shell)
}

// option is one keyword argument of Popen.
func (p *process) option(r *run, name string, v starlark.Value) (err error) {
	switch name {
	case "args":
		p.cmd = v
	case "stdin":
		p.stdin, err = p.stream(name, v)
	case "stdout":
		p.stdout, err = p.stream(name, v)
	case "stderr":
		p.stderr, err = p.stream(name, v)
		p.command.Merge = p.stderr == streamMerge
	case "universal_newlines", "text":
		p.text = p.text || truthy(v, false)
	case "encoding":
		if asciiOnly, err := codec(v); err != nil || asciiOnly {
			return unsupported("%s() with this encoding", p.fn)
		}
		p.text = p.text || !isNone(v)
	case "cwd":
		if isNone(v) {
			return nil
		}
		_, p.command.Dir, err = r.pathArg(args{fn: p.fn}, v)
	case "env":
		p.command.Env, err = p.environment(v)
	default:
		switch {
		case refusedProcessArgs[name]:
			return unsupported("%s() with %s=", p.fn, name)
		case !ignoredProcessArgs[name]:
			return raise(typeError, "Popen.__init__() got an unexpected keyword argument '%s'", name)
		}
	}
	return err
}

func (p *process) stream(name string, v starlark.Value) (int, error) {
	if isNone(v) {
		return streamInherit, nil
	}
	if i, ok := asInt(v); ok {
		if n, ok := i.Int64(); ok && n <= streamPipe && n >= streamNull && (n != streamMerge || name == "stderr") {
			return int(n), nil
		}
	}
	return 0, unsupported("%s() with this %s", p.fn, name)
}

func (p *process) environment(v starlark.Value) (map[string]string, error) {
	if isNone(v) {
		return nil, nil
	}
	d, ok := v.(*starlark.Dict)
	if !ok {
		return nil, unsupported("%s() with this environment", p.fn)
	}
	env := map[string]string{}
	for _, item := range d.Items() {
		k, ok1 := item[0].(starlark.String)
		s, ok2 := item[1].(starlark.String)
		if !ok1 || !ok2 {
			return nil, raise(typeError, "expected str, bytes or os.PathLike object, not %s", typeName(item[1]))
		}
		env[string(k)] = string(s)
	}
	return env, nil
}

// setCommand makes the program's arguments of a str or a sequence of them.
func (p *process) setCommand(r *run, shell bool) error {
	if s, ok := p.cmd.(starlark.String); ok {
		if shell {
			p.command.Shell = string(s)
		} else {
			p.command.Args = []string{string(s)}
		}
		return nil
	}
	vs, err := r.collect(p.cmd)
	if err != nil {
		return err
	}
	if shell {
		p.command.Args = []string{"/bin/sh", "-c"}
	}
	for _, v := range vs {
		s, ok := v.(starlark.String)
		if !ok {
			return raise(typeError, "expected str, bytes or os.PathLike object, not %s", typeName(v))
		}
		p.command.Args = append(p.command.Args, string(s))
	}
	if len(p.command.Args) == 0 {
		return raise(indexError, "list index out of range")
	}
	return nil
}

// start runs the program; input is a str or bytes, or nil.
func (p *process) start(r *run, input starlark.Value) error {
	if p.ran {
		return nil
	}
	switch in := input.(type) {
	case nil, starlark.NoneType:
	case starlark.Bytes:
		p.command.Stdin = []byte(in)
	case starlark.String:
		p.command.Stdin = []byte(in)
	default:
		return unsupported("%s() with this input", p.fn)
	}
	if input != nil && input != starlark.None {
		if _, isText := input.(starlark.String); isText != p.text {
			return raise(typeError, "a bytes-like object is required, not '%s'", typeName(input))
		}
	}
	if info, err := r.types().Stat(p.command.Dir); err != nil {
		return osException(err, p.command.Dir)
	} else if !info.IsDir() {
		return osException(errors.New("not a directory"), p.command.Dir)
	}
	ctx := r.ctx
	if p.timeout > 0 {
		limited, cancel := context.WithTimeout(ctx, time.Duration(p.timeout*float64(time.Second)))
		defer cancel()
		ctx = limited
	}
	result, err := r.in.opts.Run(ctx, p.command)
	switch {
	case r.ctx.Err() != nil:
		return r.ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return raiseWith(timeoutExpired, starlark.Tuple{p.cmd, starlark.Float(p.timeout)}, "cmd", p.cmd, "timeout", starlark.Float(p.timeout))
	case err != nil && len(p.command.Args) > 0:
		return osException(err, p.command.Args[0])
	case err != nil:
		return osException(err, "/bin/sh")
	}
	p.ran, p.result = true, result
	if p.stdout == streamInherit {
		p.show(r, result.Stdout)
	}
	if p.stderr == streamInherit {
		p.show(r, result.Stderr)
	}
	return nil
}

// show passes on what a program wrote to the terminal.
func (p *process) show(r *run, out []byte) {
	if s := strings.TrimRight(string(out), "\n"); s != "" {
		r.log("plain", s)
	}
}

// output is a stream's content as the caller wanted it: None unless it went into a pipe.
func (p *process) output(mode int, content []byte) (starlark.Value, error) {
	if mode != streamPipe {
		return none()
	}
	if !p.text {
		return starlark.Bytes(content), sized(len(content), maxText)
	}
	if !utf8.Valid(content) {
		return nil, unsupported("the output of %s, which is not UTF-8", p.fn)
	}
	return text(universalNewlines(string(content))), sized(len(content), maxText)
}

func universalNewlines(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}

// outputs are standard output and error.
func (p *process) outputs() (stdout, stderr starlark.Value, err error) {
	if stdout, err = p.output(p.stdout, p.result.Stdout); err != nil {
		return nil, nil, err
	}
	stderr, err = p.output(p.stderr, p.result.Stderr)
	return stdout, stderr, err
}
