// SPDX-License-Identifier: MIT

package main

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
	"time"

	"n3x/internal/bitbake/pyeval"
)

// runProgram runs a program of the host for metadata, as CPython would.
func runProgram(ctx context.Context, c pyeval.Command) (pyeval.Result, error) {
	argv := c.Args
	if c.Shell != "" {
		argv = []string{"/bin/sh", "-c", c.Shell}
	}
	program, err := lookUp(argv[0], c.Env)
	if err != nil {
		return pyeval.Result{}, err
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
		return pyeval.Result{}, ctx.Err()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return pyeval.Result{}, err
	}
	status := cmd.ProcessState.ExitCode()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		status = -int(ws.Signal())
	}
	return pyeval.Result{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), Status: status}, nil
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

// cpuTime is what this process and the programs that it ran have used.
func cpuTime() time.Duration {
	var sum time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return sum
}

func peakMemory() int64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Maxrss << 10
}
