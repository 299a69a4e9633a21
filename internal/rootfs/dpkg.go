package rootfs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"n3x/internal/diag"
	"n3x/internal/progress"
	"n3x/internal/sandbox"
)

// dpkg runs the dpkg of the root filesystem under construction.
type dpkg struct {
	draft *Draft
	debs  string // directory with the packages
	twins []sandbox.Mount
	tools scaffold // what stands in for programs that must not run
	env   []string
	log   io.Writer // may be nil
	task  *progress.Task

	done, total int64 // packages configured
}

// debsDir is where dpkg finds the packages.
const debsDir = "/run/.n3x-debs"

// options of every call. Nobody answers questions: what is in the root filesystem already wins over the package's
// configuration file, as it was put there on purpose. The log would hold the time of day. Nothing is saved by going on after
// a failure, and the first one is the one to read.
var options = []string{"dpkg", "--force-unsafe-io", "--force-confdef", "--force-confold", "--abort-after=1", "--log=/dev/null", "--status-fd=3"}

// call runs dpkg with further arguments.
func (d *dpkg) call(ctx context.Context, args ...string) error {
	return d.run(ctx, d.command(append(options[:len(options):len(options)], args...)...))
}

// configure runs dpkg --configure with further arguments, the last time with depmod beside it.
func (d *dpkg) configure(ctx context.Context, last bool, args ...string) error {
	argv := append(options[:len(options):len(options)], args...)
	if last {
		argv = besideDepmod(argv)
	}
	cmd := d.command(argv...)
	cmd.Mounts = append(cmd.Mounts, d.tools.masks(d.draft.Stack())...)
	return d.run(ctx, cmd)
}

// command is any command with dpkg's surroundings.
func (d *dpkg) command(argv ...string) *sandbox.Cmd {
	cmd := d.draft.Command(argv...)
	cmd.Env = d.env
	cmd.Mounts = append(cmd.Mounts, d.tools.mounts()...)
	cmd.Mounts = append(cmd.Mounts, d.twins...)
	cmd.Mounts = append(cmd.Mounts, sandbox.Mount{Type: sandbox.BindRO, Source: d.debs, Target: debsDir})
	return cmd
}

// run runs cmd, whose descriptor 3 is dpkg's status, and explains its failure.
func (d *dpkg) run(ctx context.Context, cmd *sandbox.Cmd) error {
	status, statusW, err := os.Pipe()
	if err != nil {
		return err
	}
	defer status.Close()
	output := &transcript{log: d.log}
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = output, output, []*os.File{statusW}
	var (
		failures []failure
		reader   errgroup.Group
	)
	reader.Go(func() error {
		for lines := bufio.NewScanner(status); lines.Scan(); {
			if f, ok := d.status(lines.Text()); ok {
				failures = append(failures, f)
			}
		}
		return nil
	})
	err = cmd.Run(ctx)
	statusW.Close()
	_ = reader.Wait()
	if err == nil || ctx.Err() != nil {
		return err
	}
	return explain(err, failures, output)
}

// failure is a line with which dpkg gives a package up.
type failure struct {
	what string // a package, or the path of a package file
	why  string
}

// status takes one line of dpkg --status-fd (dpkg(1)) and returns it when it is a failure.
func (d *dpkg) status(line string) (failure, bool) {
	if rest, ok := strings.CutPrefix(line, "processing: "); ok {
		action, name, _ := strings.Cut(rest, ": ")
		if word, ok := doing[action]; ok {
			d.task.Step(word + " " + name)
		}
		return failure{}, false
	}
	rest, ok := strings.CutPrefix(line, "status: ")
	if !ok {
		return failure{}, false
	}
	if strings.HasSuffix(rest, ": installed") {
		d.done++
		d.task.Advance(min(d.done, d.total), d.total, "packages")
	}
	what, why, ok := strings.Cut(rest, " : error : ")
	if !ok {
		what, why, ok = strings.Cut(rest, ": error : ")
	}
	return failure{strings.TrimSpace(what), why}, ok
}

var doing = map[string]string{
	"install": "unpacking", "upgrade": "unpacking", "configure": "configuring", "remove": "removing", "trigproc": "running the triggers of",
}

// scriptFailed is dpkg's text about a maintainer script.
var scriptFailed = regexp.MustCompile(`(?:new|old|installed) (\S+) package (pre|post)-(installation|removal) script subprocess (.+)$`)

// explain makes the error of a failed call out of what dpkg said.
func explain(err error, failures []failure, output *transcript) error {
	if len(failures) == 0 {
		e := diag.Failedf(diag.Pos{}, "run dpkg: %w", err)
		return output.notes(e)
	}
	f := failures[0]
	if c := f.conflict(); c != nil {
		e := c.explained()
		e.Err = errors.Join(c, err)
		return output.notes(e)
	}
	text := fmt.Sprintf("install %s: %s", f.name(), f.why)
	if m := scriptFailed.FindStringSubmatch(f.why); m != nil {
		script := map[string]string{"preinstallation": "preinst", "postinstallation": "postinst", "preremoval": "prerm", "postremoval": "postrm"}[m[2]+m[3]]
		text = fmt.Sprintf("install %s: its %s script %s", m[1], script, strings.Replace(m[4], "returned error exit", "ended with exit", 1))
	}
	e := diag.Failedf(diag.Pos{}, "%s", text)
	e.Err = err
	for _, other := range failures[1:] {
		if other.why != f.why || other.what != f.what {
			e = e.WithNote("%s: %s", other.name(), other.why)
		}
	}
	return output.notes(e)
}

// name is the package without the path and the digest of its file.
func (f failure) name() string {
	name := f.what[strings.LastIndexByte(f.what, '/')+1:]
	if strings.HasSuffix(name, ".deb") {
		name, _, _ = strings.Cut(name, "_")
	}
	return name
}

// transcript passes dpkg's output on and keeps its end.
type transcript struct {
	log  io.Writer
	last []byte
}

// kept is how much of the output is kept, and shown how many lines of it a person sees.
const (
	kept  = 8 << 10
	shown = 20
)

func (t *transcript) Write(p []byte) (int, error) {
	t.last = append(t.last, p...)
	if len(t.last) > 2*kept {
		t.last = append(t.last[:0], t.last[len(t.last)-kept:]...)
	}
	if t.log == nil {
		return len(p), nil
	}
	return t.log.Write(p)
}

// notes adds the last lines of the output to e, and a hint when they tell of a full disk.
func (t *transcript) notes(e *diag.Error) error {
	lines := strings.Split(strings.TrimSpace(string(t.last)), "\n")
	for _, line := range lines[max(0, len(lines)-shown):] {
		if line = strings.TrimRight(line, " \r"); line != "" {
			e = e.WithNote("%s", line)
		}
	}
	if bytes.Contains(t.last, []byte("No space left on device")) || bytes.Contains(t.last, []byte("Disk quota exceeded")) {
		e.Err = errors.Join(e.Err, unix.ENOSPC)
	}
	return e
}
