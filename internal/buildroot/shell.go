package buildroot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"n3x/internal/diag"
	"n3x/internal/rootfs"
	"n3x/internal/sandbox"
)

// Shell is a shell for a person, or for the commands that a program writes to it, as root in a throw-away copy of a root.
type Shell struct {
	Dir     string   // where it starts
	Env     []string // further environment, "NAME=value"
	Path    string   // put before PATH
	Mounts  []sandbox.Mount
	Network bool
	Scratch string // folder for the throw-away layer; its parent must exist

	In       io.Reader // when it is a terminal, the shell is interactive
	Out, Err io.Writer
	Term     string // kind of the terminal
}

// Run runs the shell until it ends. A person's last command may have failed; one that is read from elsewhere may not.
func (s Shell) Run(ctx context.Context, below rootfs.Stack) error {
	if err := os.Mkdir(s.Scratch, 0o755); err != nil {
		return err
	}
	defer sandbox.Remove(s.Scratch)
	session, err := newSession(below, s.Scratch)
	if err != nil {
		return err
	}
	cmd := session.command("/bin/bash")
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = s.Dir, s.In, s.Out, s.Err
	if s.Network {
		useNetwork(cmd)
	}
	cmd.Mounts = append(cmd.Mounts, s.Mounts...)
	kind := s.Term
	if file, ok := s.In.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		cmd.TTY = true
		cmd.Argv = append(cmd.Argv, "-i")
	} else {
		kind = "dumb"
	}
	path := searchPath
	if s.Path != "" {
		path = s.Path + ":" + path
	}
	cmd.Env = append([]string{"LANG=C.UTF-8", "LC_ALL=C.UTF-8", "USER=root", "LOGNAME=root", "HOME=/root", "SHELL=/bin/bash", "TERM=" + kind, "PATH=" + path}, s.Env...)
	err = cmd.Run(ctx)
	var exit *sandbox.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	if cmd.TTY && exit.Signal == 0 {
		return nil
	}
	return &diag.Error{Kind: diag.Failed, Text: fmt.Sprintf("the last command of the shell ended with status %d", exit.Status), Err: err}
}
