package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"n3x/internal/atomicfile"
	"n3x/internal/build"
	"n3x/internal/diag"
	"n3x/internal/fetch"
	"n3x/internal/isar"
	"n3x/internal/kas"
	"n3x/internal/metadata"
	"n3x/internal/sandbox"
)

// buildFlags are the flags of verbs that load kas files.
type buildFlags struct {
	targets   []string
	task      string
	cmd       string
	cmdGiven  bool // even if empty
	keepGoing bool
	force     bool
	offline   bool
	update    bool
	wanted    []string // targets of a command that is going to be run
}

func (f *buildFlags) register(c *cobra.Command) {
	c.Flags().StringArrayVar(&f.targets, "target", nil, "build this target instead of the files' (repeatable)")
	c.Flags().StringVarP(&f.task, "task", "c", "", "run this task of the targets instead of build")
	c.Flags().StringVar(&f.cmd, "cmd", "", "a task's name, or a command to run in the build folder, e.g. \"bitbake hello\"")
	c.Flags().BoolVarP(&f.keepGoing, "keep-going", "k", false, "after a failure, still build what does not depend on it")
	c.Flags().BoolVarP(&f.force, "force", "f", false, "run the targets' task even when it is done")
	c.Flags().BoolVar(&f.offline, "offline", false, "use what was downloaded before, never the network")
	c.Flags().BoolVar(&f.update, "update", false, "fetch the newest commits of branches, ignoring kas lock files")
}

func (a *app) kasBuild() *cobra.Command {
	var f buildFlags
	c := &cobra.Command{
		Use:   "kas-build FILES [flags] [-- BITBAKE_ARGS]",
		Short: "Build the targets of kas files joined by colons",
		Example: `  kas-build kas/base.yml:kas/machine/qemu-amd64.yml:kas/image/base.yml:kas/network/simple.yml
  kas-build kas/base.yml:kas/machine/qemu-amd64.yml --cmd "bitbake systemd-networkd-config"`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			files := ""
			if len(args) > 0 {
				files = args[0]
			}
			f.cmdGiven = c.Flags().Changed("cmd")
			return a.runBuild(c.Context(), files, &f)
		},
	}
	f.register(c)
	a.plain.register(c)
	return c
}

// runBuild loads the project outside the sandbox, where git works as the user knows it, and builds inside.
func (a *app) runBuild(ctx context.Context, files string, f *buildFlags) error {
	words := strings.Fields(f.cmd)
	if f.cmdGiven && len(words) == 0 {
		return diag.Userf(diag.Pos{}, "--cmd is empty").WithHint("give a task's name, or a command such as \"bitbake hello\"")
	}
	f.wanted = bitbakeTargets(words)
	p, err := a.project(ctx, files, f)
	if err != nil {
		return err
	}
	if len(words) > 0 {
		switch {
		case words[0] == "bitbake" && !strings.ContainsAny(f.cmd, ";&|<>$`\"'\\*?()#~"):
			return a.inProcessBitbake(p, files, words[1:])
		case len(words) > 1 || isProgram(words[0]):
			return a.hostCommand(ctx, p, f.cmd)
		}
		f.task = words[0]
	}
	o := a.options(p, f)
	if o.Targets == nil {
		o.Targets = p.Targets
	}
	if o.Task == "" {
		o.Task = p.Task
	}
	o.Replay = a.replay(files)
	return a.buildInside(ctx, o)
}

// replay makes the commands that run one task of a project again.
func (a *app) replay(files string) func(target, task string) string {
	verb := "n3x build"
	if a.name != "n3x" {
		verb = a.name
	}
	if files != "" {
		verb += " " + shellWord(files)
	}
	return func(target, task string) string {
		return fmt.Sprintf("%s --target %s --task %s", verb, target, task)
	}
}

// shellWord is s as a shell must be given it.
func shellWord(s string) string {
	if strings.ContainsAny(s, " \t\n'\"\\$`&;|<>()*?[]#~!{}") {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return s
}

// buildPrograms are the commands that a build folder's environment has besides those of the host: links to this program.
var buildPrograms = []string{"bitbake", "bitbake-getvar", "bitbake-query", "bitbake-layers", "bitbake-diffsigs", "bitbake-dumpsig", "n3x"}

// Program is what [Main] shall take for argv[0] when a program of its own name was called by arg0: the names of the links
// that --cmd puts into PATH stand for themselves, any other is the program's own.
func Program(arg0, own string) string {
	if name := filepath.Base(arg0); slices.Contains(buildPrograms, name) {
		return name
	}
	return own
}

// isProgram reports whether a word given to --cmd is a program rather than a task.
func isProgram(word string) bool {
	if slices.Contains(buildPrograms, word) {
		return true
	}
	if strings.HasPrefix(word, "do_") {
		return false
	}
	_, err := sandbox.LookPath(word)
	return err == nil && !isTaskWord(word)
}

// isTaskWord names the tasks that are also programs of some hosts.
func isTaskWord(word string) bool {
	switch word {
	case "build", "fetch", "unpack", "patch", "install", "clean", "deploy", "image", "rootfs":
		return true
	}
	return false
}

// inside reports whether this process is the one that the sandbox was entered with: the project is set up then.
func inside() bool { return sandbox.Inside() }

// session finds the time and the name that a build bears: SOURCE_DATE_EPOCH, the lock file's, or the last commit's.
// With lockFile "" a lock file does not count.
func (a *app) session(ctx context.Context, p *kas.Project, lockFile string) metadata.Session {
	s := metadata.Session{Epoch: metadata.FallbackEpoch, BuildID: "n3x-" + Version}
	git := func(args ...string) string {
		out, _, status, err := fetch.HostGit{}.Git(ctx, p.TopRepo, nil, args...)
		if err != nil || status != 0 {
			return ""
		}
		return strings.TrimSpace(out)
	}
	if n, err := strconv.ParseInt(git("log", "-1", "--format=%ct"), 10, 64); err == nil {
		s.Epoch = n
	}
	if lock, err := build.ReadLock(lockFile); err == nil && lock != nil {
		s.Epoch = lock.Epoch
	}
	if n, err := strconv.ParseInt(a.env["SOURCE_DATE_EPOCH"], 10, 64); err == nil {
		s.Epoch, s.Fixed = n, true
	}
	return s
}

// lockPath is n3x.lock beside the first kas file of the command line.
func (a *app) lockPath(files string) string {
	first, _, _ := strings.Cut(files, ":")
	if !filepath.IsAbs(first) {
		first = filepath.Join(a.dir, first)
	}
	return filepath.Join(filepath.Dir(first), "n3x.lock")
}

func (a *app) options(p *kas.Project, f *buildFlags) build.Options {
	env := map[string]string{}
	for k, v := range a.env {
		env[k] = v
	}
	for k, v := range p.Env {
		env[k] = v
	}
	names := make([]string, 0, len(p.Env))
	for k := range p.Env {
		names = append(names, k)
	}
	env["BB_ENV_PASSTHROUGH_ADDITIONS"] = strings.TrimSpace(env["BB_ENV_PASSTHROUGH_ADDITIONS"] + " " + strings.Join(names, " "))
	return build.Options{
		TopDir: p.BuildDir, Env: env, Targets: f.targets, Task: f.task, Force: f.force, KeepGoing: f.keepGoing, Offline: f.offline,
		LockFile: a.lockFile, Python: launcher{a}, Secrets: a.secrets(),
	}
}

// buildInside enters the sandbox and builds; outside it only waits.
func (a *app) buildInside(ctx context.Context, o build.Options) error {
	in, err := a.enter()
	if err != nil || !in {
		if a.status > 128 {
			build.Tidy(o.TopDir) // it was killed, and may have left secrets behind
		}
		return err
	}
	start := time.Now()
	stream, done := a.progress()
	o.Progress = stream
	o.User = &isar.Terminal{In: a.stdin, Out: a.stdout, Err: a.stderr, Term: a.env["TERM"]}
	result, err := build.Run(ctx, o)
	done()
	if err != nil {
		return err
	}
	a.summary(result, time.Since(start))
	return nil
}

// summary is the last line of a build: what was built, and in what time.
func (a *app) summary(r *build.Result, took time.Duration) {
	for _, f := range r.Images {
		rel, err := filepath.Rel(a.dir, f)
		if err != nil || strings.HasPrefix(rel, "..") {
			rel = f
		}
		size := ""
		if st, err := os.Stat(f); err == nil {
			size = fmt.Sprintf("%7.1f MB  ", float64(st.Size())/1e6)
		}
		fmt.Fprintf(a.stdout, "  %s%s\n", size, rel)
	}
	fmt.Fprintf(a.stdout, "%s: %d tasks, %d of them run now, %.1f s\n", a.name, r.Tasks, r.Ran, took.Seconds())
}

// hostCommand runs a command line in the build folder, where bitbake is this program.
func (a *app) hostCommand(ctx context.Context, p *kas.Project, command string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	bin := filepath.Join(p.BuildDir, "n3x", "bin")
	if err := os.MkdirAll(bin, 0o777); err != nil {
		return err
	}
	for _, name := range buildPrograms {
		if err := atomicfile.Symlink(self, filepath.Join(bin, name)); err != nil {
			return err
		}
	}
	env := []string{"PATH=" + bin + ":" + a.env["PATH"], "BUILDDIR=" + p.BuildDir, "BBPATH=" + p.BuildDir}
	for k, v := range a.options(p, &buildFlags{}).Env {
		if k != "PATH" && k != "BUILDDIR" && k != "BBPATH" {
			env = append(env, k+"="+v)
		}
	}
	cmd := &sandbox.Cmd{Host: true, Argv: []string{"sh", "-c", command}, Dir: p.BuildDir, Env: env, Stdin: a.stdin, Stdout: a.stdout, Stderr: a.stderr}
	return cmd.Run(ctx)
}
