// SPDX-License-Identifier: MIT

package pyeval

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// runOnHost is an [Options.Run] for tests: a plain process of the host, found as CPython finds it.
func runOnHost(ctx context.Context, c Command) (Result, error) {
	argv := c.Args
	if c.Shell != "" {
		argv = []string{"/bin/sh", "-c", c.Shell}
	}
	program, err := lookUp(argv[0], c.Env)
	if err != nil {
		return Result{}, err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program)
	cmd.Args, cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = argv, c.Dir, []string{}, bytes.NewReader(c.Stdin), &stdout, &stderr
	if c.Merge {
		cmd.Stderr = &stdout
	}
	for k, v := range c.Env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	err = cmd.Run()
	if ctx.Err() != nil {
		return Result{}, ctx.Err()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return Result{}, err
	}
	status := cmd.ProcessState.ExitCode()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		status = -int(ws.Signal())
	}
	return Result{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), Status: status}, nil
}

func lookUp(name string, env map[string]string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	path, set := env["PATH"]
	if !set {
		path = "/bin:/usr/bin"
	}
	for dir := range strings.SplitSeq(path, ":") {
		full := filepath.Join(dir, name)
		if info, err := os.Stat(full); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return full, nil
		}
	}
	return "", fs.ErrNotExist
}

// TestProgramsAreRefused checks that nothing is started without a runner, and that the refusal names the function.
func TestProgramsAreRefused(t *testing.T) {
	in := New(Options{Cwd: "/"})
	for call, name := range map[string]string{
		"os.popen('true').read()": "os.popen", "os.system('true')": "os.system", "bb.process.run('true')": "bb.process.run",
		"__import__('subprocess').run('true')": "subprocess.run",
	} {
		_, err := in.Eval(context.Background(), call, Site{Vars: newFakeVars(in, nil)})
		var u *Unsupported
		if !errors.As(err, &u) || !strings.Contains(u.Construct, name) {
			t.Errorf("%s: %v", call, err)
		}
	}
}

// TestRepositoryWarnings checks what BitBake 2.8 says about git URLs; the texts are from its recording of isar-cip-core.
func TestRepositoryWarnings(t *testing.T) {
	var said []string
	in := New(Options{BitBake: "2.8.0", Log: func(level, text string) { said = append(said, level+" "+text) }})
	vars := newFakeVars(in, nil)
	vars.vars["SRC_URI"], vars.vars["SRCREV"] = "git://github.com/a/b.git", strings.Repeat("ab", 20)
	got, err := in.Eval(context.Background(), "bb.fetch2.get_srcrev(d)", Site{Vars: vars})
	if err != nil || got != "AUTOINC+ababababab" {
		t.Fatal(got, err)
	}
	if len(said) != 2 || !strings.HasPrefix(said[0], "warn URL: git://github.com/a/b.git uses git protocol which is no longer") ||
		!strings.HasPrefix(said[1], "warn URL: git://github.com/a/b.git does not set any branch parameter. ") {
		t.Errorf("said %q", said)
	}
}
