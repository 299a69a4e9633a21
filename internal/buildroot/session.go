package buildroot

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"n3x/internal/rootfs"
	"n3x/internal/sandbox"
)

// builder is the user that builds run as.
const (
	builder   = "builder"
	builderID = 1000
)

// session is one throw-away copy of a root.
type session struct {
	below       rootfs.Stack
	upper, work string
}

// newSession makes the copy's layer in the folder dir. In it the user builder exists, whoever is in the root.
func newSession(below rootfs.Stack, dir string) (*session, error) {
	s := &session{below: below, upper: filepath.Join(dir, "upper"), work: filepath.Join(dir, "work")}
	for _, d := range []string{s.upper, s.work} {
		if err := errors.Join(os.Mkdir(d, 0o755), os.Chmod(d, 0o755)); err != nil {
			return nil, err
		}
	}
	id := strconv.Itoa(builderID)
	for _, line := range []struct{ file, text string }{
		{"etc/passwd", builder + ":x:" + id + ":" + id + ":builds packages:/home/" + builder + ":/bin/sh\n"},
		{"etc/group", builder + ":x:" + id + ":\n"},
	} {
		if err := s.appendLine(line.file, line.text); err != nil {
			return nil, err
		}
	}
	return s, s.folder("/home/" + builder)
}

// appendLine adds a line to a file of the root, unless another user or group bears builder's name or number already.
func (s *session) appendLine(file, line string) error {
	text, err := s.below.ReadFile(file)
	if err != nil {
		return err
	}
	name, _, _ := strings.Cut(line, ":")
	for have := range strings.SplitSeq(string(text), "\n") {
		words := strings.Split(have, ":")
		if len(words) > 2 && (words[0] == name) != (words[2] == strconv.Itoa(builderID)) {
			return fmt.Errorf("make a build root: /%s has the line %q, which takes the name or number of the user %s", file, have, builder)
		}
		if words[0] == name {
			return nil
		}
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	path := filepath.Join(s.upper, file)
	if err := s.parents(file); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(path, append(text, line...), 0o644), os.Chmod(path, 0o644))
}

// parents makes the folders above name in the copy, with the modes that they have in the root.
func (s *session) parents(name string) error {
	parent := filepath.Dir(filepath.Clean("/" + name))
	if parent == "/" {
		return nil
	}
	if err := s.parents(parent); err != nil {
		return err
	}
	mode := os.FileMode(0o755)
	if info, err := s.below.Lstat(parent); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("make a build root: %s of the root is no folder", parent)
		}
		mode = info.Mode() & (os.ModePerm | os.ModeSticky | os.ModeSetgid)
	}
	path := filepath.Join(s.upper, parent)
	if err := os.Mkdir(path, 0o755); errors.Is(err, os.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

// folder makes a folder of the copy that belongs to builder.
func (s *session) folder(name string) error {
	if err := s.parents(name); err != nil {
		return err
	}
	path := filepath.Join(s.upper, name)
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return errors.Join(os.Chmod(path, 0o755), os.Chown(path, builderID, builderID))
}

// bring copies the files of a source package into the folder dir of the copy.
func (s *session) bring(source *Source, dir string) error {
	if err := s.folder(dir); err != nil {
		return err
	}
	for _, name := range source.Files {
		if err := copyFile(filepath.Join(filepath.Dir(source.Path), name), filepath.Join(s.upper, dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// copyFile copies a file for the user builder; links cannot be told from their targets afterwards.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in) // within a file system that can, blocks are shared
	return errors.Join(err, out.Chown(builderID, builderID), out.Close())
}

// command is a program in the copy, run by root; the caller says as whom, where and with what it runs.
func (s *session) command(argv ...string) *sandbox.Cmd {
	return &sandbox.Cmd{Argv: argv, Mounts: []sandbox.Mount{
		{Type: sandbox.Overlay, Target: "/", Lower: s.below, Upper: s.upper, Work: s.work},
		{Type: sandbox.Proc, Target: "/proc"},
		{Type: sandbox.Sys, Target: "/sys"},
		{Type: sandbox.Dev, Target: "/dev"},
		{Type: sandbox.Tmpfs, Target: "/run", Mode: 0o755},
	}}
}

// useNetwork gives a command this machine's network, and what names are looked up with.
func useNetwork(cmd *sandbox.Cmd) {
	cmd.Network = true
	for _, name := range []string{"/etc/resolv.conf", "/etc/hosts"} {
		if real, err := filepath.EvalSymlinks(name); err == nil {
			cmd.Mounts = append(cmd.Mounts, sandbox.Mount{Type: sandbox.BindRO, Source: real, Target: name})
		}
	}
}
