// Package cli is the command line: one file for each verb, each of which reads flags into an options struct, calls one
// room and shows what came of it.
//
// The program looks at the name it is called by: kas-build and bitbake are verbs of their own.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"n3x/internal/build"
	"n3x/internal/diag"
	"n3x/internal/host"
	"n3x/internal/kas"
	"n3x/internal/sandbox"
)

// Version is the program's version.
const Version = "0.1.0"

// app is one run of the program.
type app struct {
	ctx    context.Context
	name   string // "n3x", or the name of the original that is stood in for
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	env    map[string]string
	dir    string   // the current folder
	status int      // exit status when no error says otherwise
	args   []string // behind the program's name
	verbs  []string
	called string // program and verb, e.g. "n3x boot"
	plain  progressFlags

	lockFile string       // n3x.lock of the project that was loaded
	loaded   *kas.Project // that project; nil until it is known
}

// terminated is the cause of a context that SIGTERM cancelled.
var (
	errTerminated  = errors.New("terminated")
	errInterrupted = errors.New("interrupted")
	errHungUp      = errors.New("the terminal was closed")
)

// Main runs the program: args[0] is the name it was called by. It returns the exit status.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (status int) {
	ensureHome()
	a := &app{name: "n3x", stdin: stdin, stdout: stdout, stderr: stderr, env: build.Environment(os.Environ())}
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(stderr, "%s: BUG: %v\n%s\nThis is an error in n3x itself; please report it with the lines above.\n", a.name, p, debug.Stack())
			status = 3
		}
	}()
	ctx, stop := withSignals(ctx)
	defer stop()
	a.ctx = ctx
	var err error
	if a.dir, err = os.Getwd(); err == nil {
		err = a.dispatch(args)
	}
	return a.finish(err)
}

// ensureHome gives HOME the value of the user database where services and containers leave it out: overlays have their
// caches below it. Inside the sandbox every user is root, and has the HOME of outside.
func ensureHome() {
	if os.Getenv("HOME") != "" || sandbox.Inside() {
		return
	}
	if u, err := user.LookupId(strconv.Itoa(os.Getuid())); err == nil && u.HomeDir != "" {
		os.Setenv("HOME", u.HomeDir) //nolint:errcheck // a name and a value without NUL
	}
}

// withSignals cancels the context on SIGINT, SIGTERM and SIGHUP, with a cause that tells which. A SIGHUP that is ignored, as under nohup, stays so.
func withSignals(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		for s := range signals {
			switch s {
			case syscall.SIGTERM:
				cancel(errTerminated)
			case syscall.SIGHUP:
				cancel(errHungUp)
			default:
				cancel(errInterrupted)
			}
		}
	}()
	return ctx, func() { signal.Stop(signals); cancel(nil) }
}

func (a *app) dispatch(args []string) error {
	called := strings.TrimSuffix(filepath.Base(args[0]), ".test")
	var root *cobra.Command
	if stands := a.originals()[called]; stands != nil {
		a.name = called
		root = stands()
	} else {
		root = a.root()
	}
	a.args = args[1:]
	root.SetArgs(a.args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return diag.Userf(diag.Pos{}, "%w", err).WithHint("%s --help lists the flags", c.CommandPath())
	})
	for _, c := range root.Commands() {
		a.verbs = append(a.verbs, c.Name())
	}
	c, err := root.ExecuteContextC(a.ctx)
	a.called = c.CommandPath()
	return err
}

// originals are the verbs that are programs of their own elsewhere, by these programs' names.
func (a *app) originals() map[string]func() *cobra.Command {
	return map[string]func() *cobra.Command{
		"kas-build": a.kasBuild, "bitbake": a.bitbake, "bitbake-getvar": a.bitbakeGetvar, "bitbake-query": a.bitbakeQuery,
		"bitbake-layers": a.bitbakeLayers, "bitbake-diffsigs": a.diffsigs, "bitbake-dumpsig": a.dumpsig,
		"n3x-repo": a.repository,
	}
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:     "n3x",
		Short:   "Builds and boots Debian images from kas overlays and ISAR layers",
		Version: Version,
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	kasBuild := a.kasBuild()
	kasBuild.Use = strings.Replace(kasBuild.Use, "kas-build", "build", 1)
	root.AddCommand(kasBuild, a.boot(), a.test(), a.vm(), a.lock(), a.plan(), a.clean(), a.cluster(), a.flash(), a.matrix(), a.bitbake(), a.bitbakeGetvar(), a.bitbakeQuery(), a.bitbakeLayers(), a.diffsigs(), a.dumpsig(), a.tools())
	return root
}

// finish shows an error and chooses the exit status.
func (a *app) finish(err error) int {
	if cause := context.Cause(a.ctx); err != nil && cause != nil {
		switch {
		case errors.Is(cause, errTerminated):
			fmt.Fprintf(a.stderr, "%s: terminated\n", a.name)
			return 128 + int(syscall.SIGTERM)
		case errors.Is(cause, errHungUp):
			return 128 + int(syscall.SIGHUP) // there is no terminal to say that on
		case errors.Is(cause, errInterrupted):
			fmt.Fprintf(a.stderr, "%s: interrupted\n", a.name)
			return 128 + int(syscall.SIGINT)
		}
	}
	if err == nil {
		return a.status
	}
	err = a.usage(err)
	a.render(err)
	status := diag.Status(err)
	if strings.HasPrefix(a.name, "bitbake") && a.name != "bitbake-layers" {
		return 1 // the originals know one failure only; bitbake-layers has shown its own, what is left are wrong calls
	}
	return status
}

// render shows an error: places in generated files become those in the kas files that they came from, and the layers'
// paths are shown without the detour by the build folder that BBLAYERS has them by.
func (a *app) render(err error) {
	var b strings.Builder
	diag.Render(&b, a.name, relocate(a.loaded, err))
	text := b.String()
	if a.loaded != nil {
		text = strings.ReplaceAll(text, a.loaded.BuildDir+"/../", filepath.Dir(a.loaded.BuildDir)+"/")
	}
	io.WriteString(a.stderr, text) //nolint:errcheck // there is nowhere else to say so
}

// usage makes what cobra itself refuses, unknown verbs and wrong numbers of arguments, a user's error with a hint.
func (a *app) usage(err error) error {
	var d *diag.Error
	if errors.As(err, &d) {
		return err
	}
	text := err.Error()
	if verb, ok := strings.CutPrefix(text, "unknown command "); ok {
		e := diag.Userf(diag.Pos{}, "%s", text).WithHint("%s --help lists the verbs", a.name)
		if words := strings.SplitN(verb, "\"", 3); len(words) == 3 {
			if near := diag.Nearest(words[1], a.verbs); near != "" {
				return e.WithHint("did you mean %s %s?", a.name, near)
			}
		}
		return e
	}
	if strings.Contains(text, "arg(s)") {
		return diag.Userf(diag.Pos{}, "%s", text).WithHint("kas files are one argument, joined by colons: %s kas/base.yml:kas/machine/qemu-amd64.yml", a.called)
	}
	return err
}

// enter continues inside the sandbox's namespaces: it returns inside=true there, and in the process outside it has
// waited and set the exit status.
func (a *app) enter() (inside bool, err error) {
	inside, status, err := sandbox.Enter()
	if err != nil {
		return false, host.Host{}.Explain(err)
	}
	if !inside {
		a.status = status
	}
	return inside, nil
}
