// Package build is the use case that n3x exists for: from a build folder with its configuration to finished packages
// and images. It wires the rooms together: metadata is parsed, targets become a graph of tasks, and the tasks that are
// not done yet are run.
//
// Everything here runs inside [sandbox.Enter].
package build

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"n3x/internal/bitbake/recipe"
	"n3x/internal/cpython"
	"n3x/internal/diag"
	"n3x/internal/isar"
	"n3x/internal/isar/images"
	"n3x/internal/isar/packages"
	"n3x/internal/metadata"
	"n3x/internal/progress"
	"n3x/internal/runqueue"
	"n3x/internal/siginfo"
	"n3x/internal/taskgraph"
	"n3x/internal/tools"
)

// Options says what to build.
type Options struct {
	TopDir  string            // the build folder, with conf/local.conf and conf/bblayers.conf
	Env     map[string]string // the user's environment
	Targets []string          // as bitbake takes them: PN, PN:do_task, mc:NAME:PN, mc:NAME:PN:do_task
	Task    string            // of targets that name none; "" = "build"
	Force   bool              // run the targets' tasks even when they are done, and now or later what depends on them
	Again   string            // likewise this task of the targets' recipes

	Prefiles, Postfiles []string // configuration to read before bblayers.conf and after bitbake.conf
	AssumeProvided      []string // more of ASSUME_PROVIDED
	RunAll, RunOnly     []string // tasks, as in [taskgraph.Request]
	BuildFile, Dir      string   // a recipe file to build by itself, perhaps relative to Dir
	Incomplete          bool     // leave dependencies out that nothing provides

	Packages string   // folder in which multiconfigs share the packages that are the same for them; "" = each builds its own
	Whole    bool     // the targets are all there are: what none of them has in Packages is removed
	Values   []string // variables that [Target.Values] shall have

	KeepGoing bool
	Offline   bool   // never reach for the network
	LockFile  string // n3x.lock; used when it exists
	// Replay is the command that runs one task again, e.g. "n3x build kas/base.yml --target hello --task install".
	Replay func(target, task string) string

	Secrets  images.Secrets   // what IMAGE_SECRETS may name
	User     *isar.Terminal   // for tasks that open a shell; nil = there is none
	Python   cpython.Launcher // starts real CPython for metadata; nil = what Starlark cannot run is refused
	Progress *progress.Stream
	Now      func() time.Time
}

// Result is what a build made.
type Result struct {
	Tasks, Ran int      // in the graph; run now
	Images     []string // files in the deploy folder that belong to the targets, sorted
	Targets    []Target // also of a build that failed after it was planned
}

// session is one build in progress.
type session struct {
	o        Options
	world    *recipe.World
	graph    *taskgraph.Graph
	archives *isar.Archives
	engine   *isar.Engine
	room     *images.Room
	provider *tools.Provider
	used     *toolRecord
	lock     *Lock // nil without a lock file
	ran      counter
	spare    map[*taskgraph.Task]bool // not run now: nothing needs what they make
	whole    bool                     // all tasks are looked at afterwards: none is spare
	sharing
}

// maxPlans bounds how often a build is planned anew; each time some recipe has found out something about itself.
const maxPlans = 20

// Run builds o.Targets.
func Run(ctx context.Context, o Options) (*Result, error) {
	ran := 0
	for plans := 1; ; plans++ {
		s, err := open(ctx, o)
		if err != nil {
			return nil, err
		}
		result, err := s.run(ctx)
		var again *isar.PlanAgain
		if result != nil {
			result.Ran += ran
			ran = result.Ran
		}
		if !errors.As(err, &again) || plans == maxPlans || ctx.Err() != nil {
			return result, err
		}
		o.Progress.Printf("planning anew: " + again.Recipe + " needs a build root: " + again.Reason)
	}
}

// run plans and builds the targets.
func (s *session) run(ctx context.Context) (*Result, error) {
	release, err := Occupy(ctx, s.o.TopDir, func() { s.o.Progress.Printf("waiting for another build in " + s.o.TopDir) })
	if err != nil {
		return nil, err
	}
	defer release()
	for _, mc := range s.world.Multiconfigs() {
		tmp, err := s.world.Base(mc).Value("TMPDIR")
		if err != nil {
			return nil, err
		}
		if err := sweep(tmp); err != nil {
			return nil, err
		}
	}
	if err := s.plan(ctx); err != nil {
		return nil, err
	}
	if err := s.force(); err != nil {
		return nil, err
	}
	if err := s.share(); err != nil {
		return nil, err
	}
	if err := s.findSpare(); err != nil {
		return nil, err
	}
	threads, err := s.threads()
	if err != nil {
		return nil, err
	}
	if err := s.introduce(); err != nil {
		return nil, err
	}
	s.world.FollowFiles()
	err = runqueue.Run(ctx, s.jobs(), runqueue.Options{Parallel: threads, KeepGoing: s.o.KeepGoing})
	result := &Result{Tasks: len(s.graph.Tasks), Ran: s.ran.value()}
	var failed error
	if result.Targets, failed = s.targets(true); failed != nil {
		return result, failed
	}
	if err != nil {
		return result, errors.Join(append(s.graph.Problems, s.blameLock(err))...)
	}
	if err := s.dropUnused(); err != nil {
		return result, err
	}
	result.Images, err = s.images()
	// What was missing although there was something to build makes the build fail, as with BitBake.
	return result, errors.Join(append(s.graph.Problems, err)...)
}

// introduce says of each image which machine it is: IMAGE_IDENTITY of its recipe.
func (s *session) introduce() error {
	said := map[*recipe.Recipe]bool{}
	for _, t := range s.graph.Tasks {
		if said[t.Recipe] {
			continue
		}
		said[t.Recipe] = true
		text, err := t.Recipe.Data.Value("IMAGE_IDENTITY")
		if err != nil {
			return err
		}
		if text != "" {
			s.o.Progress.Printf(t.Recipe.PN + ": " + text)
		}
	}
	return nil
}

// open parses the metadata.
func open(ctx context.Context, o Options) (*session, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &session{o: o}
	stream := o.Progress
	opened, err := metadata.Open(ctx, metadata.Options{TopDir: o.TopDir, Env: o.Env, Run: true, Python: o.Python, Prefiles: o.Prefiles, Postfiles: o.Postfiles, Log: func(level, text string) {
		if level == "warn" || level == "plain" || level == "error" {
			stream.Printf(prefix[level] + text)
		}
	}})
	if opened == nil {
		return nil, err
	}
	s.world = opened.World
	if err := checkConfiguration(s.world); err != nil {
		return nil, err
	}
	// Like BitBake, a build does not start while a recipe of its layers does not parse: it might be the provider that is meant.
	for _, w := range s.world.Warnings() {
		stream.Printf("WARNING: " + w.String())
	}
	return s, err
}

var prefix = map[string]string{"warn": "WARNING: ", "error": "ERROR: ", "plain": ""}

// plan makes the graph. Root file systems depend on the state of the package archives, so these are refreshed first when
// the graph has any.
func (s *session) plan(ctx context.Context) error {
	if err := s.wire(); err != nil {
		return err
	}
	var err error
	if s.graph, err = s.o.Graph(s.world); err != nil {
		return err
	}
	if err := s.observe(ctx); err != nil {
		return err
	}
	frozen := map[*recipe.Recipe]bool{}
	for _, t := range s.graph.Tasks {
		if !frozen[t.Recipe] {
			t.Recipe.Data.Freeze() // from here on jobs read it at the same time
			frozen[t.Recipe] = true
		}
	}
	if s.engine.Deployers, err = deployers(s.graph); err != nil {
		return err
	}
	return siginfo.Sign(s.graph, s.world, s.o.TopDir)
}

// Graph is what the options ask for.
func (o Options) Graph(w *recipe.World) (*taskgraph.Graph, error) {
	world := Assume(w, o.AssumeProvided)
	targets, err := taskgraph.Targets(world, o.Targets, o.Task)
	if err != nil {
		return nil, err
	}
	req := taskgraph.Request{Targets: targets, KeepGoing: o.KeepGoing, Incomplete: o.Incomplete, RunAll: o.RunAll, RunOnly: o.RunOnly}
	if o.BuildFile != "" {
		if req.File, err = w.Match(o.BuildFile, o.Dir); err != nil {
			return nil, err
		}
		if len(req.Targets) == 0 {
			req.Targets = []taskgraph.Target{{Name: req.File.PN, Task: o.Task}}
		}
	}
	return taskgraph.Make(world, req)
}

// observe tells recipes about what lies outside the metadata and decides over their tasks all the same: the state of the
// package archives, and the text of disk layouts.
func (s *session) observe(ctx context.Context) error {
	for _, t := range s.graph.Tasks {
		if strings.HasPrefix(t.Name, "do_image_") {
			digest, err := s.room.SecretsDigest(t.Recipe.Data)
			if err != nil {
				return err
			}
			if err := t.Recipe.Data.SetVar("N3X_SECRETS_DIGEST", digest); err != nil {
				return err
			}
		}
		var name, value string
		switch t.Name {
		case "do_rootfs_install":
			ar, err := s.archives.Open(ctx, t.Recipe.Data, nil)
			if err != nil {
				return err
			}
			name, value = "N3X_APT_STATE", ar.Digest
		case "do_image_wic":
			digest, err := s.room.WKSDigest(t.Recipe.Data)
			if err != nil {
				return err
			}
			name, value = "N3X_WKS_DIGEST", digest
		case "do_fetch":
			if err := s.observeSources(ctx, t.Recipe); err != nil {
				return err
			}
			continue
		default:
			continue
		}
		if err := t.Recipe.Data.SetVar(name, value); err != nil {
			return err
		}
	}
	return nil
}

// wire connects the rooms that run tasks.
func (s *session) wire() error {
	base := s.world.Base("")
	dl, err := base.Value("DL_DIR")
	if err != nil {
		return err
	}
	cache, err := base.Value("SSTATE_DIR")
	if err != nil {
		return err
	}
	for i, dir := range []string{dl, cache} {
		if name := []string{"DL_DIR", "SSTATE_DIR"}[i]; !filepath.IsAbs(dir) {
			return diag.Userf(diag.Pos{}, "%s is %q, which is not an absolute path", name, dir).WithHint("set it in conf/local.conf; in ${HOME}/x the variable HOME may be missing")
		}
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return diag.Userf(diag.Pos{}, "make cache folder: %w", err).WithHint("set DL_DIR and SSTATE_DIR to folders that you can write to")
		}
	}
	if err := linkDownloads(s.o.TopDir, dl); err != nil {
		return err
	}
	s.archives = &isar.Archives{ReadFile: s.world.ReadFile, Proxies: proxies(s.o.Env), Offline: s.o.Offline, Now: s.o.Now}
	if err := s.useLock(); err != nil {
		return err
	}
	if s.provider, err = s.tools(dl, cache); err != nil {
		return err
	}
	s.used = toolRecordOf(s.o.TopDir)
	recorded := recordingTools{s.provider, s.used}
	s.room = &images.Room{Archives: s.archives, Tools: recorded, RecordTools: s.used.add, ToolsDir: filepath.Join(cache, "n3x", "tools"),
		Layers: filepath.Join(cache, "n3x", "layers"), ReadFile: s.world.ReadFile, Secrets: s.o.Secrets}
	if err := os.MkdirAll(s.room.Layers, 0o777); err != nil {
		return err
	}
	builds := &packages.Room{Archives: s.archives, Layers: s.room.Layers}
	natives := map[string]isar.Native{}
	outside := isar.Outside{Archives: s.archives, Env: s.o.Env}
	for _, set := range []map[string]isar.Native{isar.BaseNatives(outside), packages.Natives(), builds.Natives(), s.room.Natives()} {
		for name, f := range set {
			natives[name] = f
		}
	}
	s.engine = &isar.Engine{Natives: natives, User: s.o.User, Python: python{s.world}, Tools: recorded, Emulator: recorded.Emulate}
	if s.o.Replay != nil {
		s.engine.Replay = s.replay
	}
	return nil
}

func (s *session) replay(c *isar.Call) string {
	target := c.Recipe
	if mc, err := c.Value("BB_CURRENT_MC"); err == nil && s.world.Base(mc) != nil && mc != "" {
		target = "mc:" + mc + ":" + target
	}
	return s.o.Replay(target, strings.TrimPrefix(c.Name, "do_"))
}

// proxies are the variables of the environment that name proxies.
func proxies(env map[string]string) map[string]string {
	out := map[string]string{}
	for _, name := range []string{"http_proxy", "https_proxy", "all_proxy", "no_proxy"} {
		for _, n := range []string{name, strings.ToUpper(name)} {
			if v := env[n]; v != "" && out[name] == "" {
				out[name] = v
			}
		}
	}
	return out
}

// threads is BB_NUMBER_THREADS.
func (s *session) threads() (int, error) {
	v, err := s.world.Base("").Value("BB_NUMBER_THREADS")
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(v))
	if err != nil || n < 1 {
		return 0, diag.Userf(s.world.Base("").LastSet("BB_NUMBER_THREADS"), "BB_NUMBER_THREADS is %q, not a number of tasks", v).WithHint("set it to a number from 1 on, or leave it out")
	}
	return n, nil
}

// images are the files that the tasks of image recipes put into the deploy folder. Others there, of an earlier
// configuration, are not this build's.
func (s *session) images() ([]string, error) {
	var out []string
	for _, t := range s.graph.Tasks {
		if t.NoExec || t.NoStamp {
			continue
		}
		st, err := newStamp(t)
		if err != nil {
			return nil, err
		}
		files, err := st.files()
		if err != nil {
			return nil, err
		}
		out = append(out, files...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// tools makes the provider of the tools tree.
func (s *session) tools(dl, cache string) (*tools.Provider, error) {
	table, err := s.world.Base("").Value("DISTRO_APT_PREMIRRORS")
	if err != nil {
		return nil, err
	}
	rewrites, err := isar.ParseRewrites("DISTRO_APT_PREMIRRORS", table, false)
	if err != nil {
		return nil, isar.Blame(s.world.Base(""), "DISTRO_APT_PREMIRRORS", err)
	}
	noNetwork, err := s.world.Base("").Value("BB_NO_NETWORK")
	if err != nil {
		return nil, err
	}
	o := ToolsOptions{DownloadDir: dl, CacheDir: cache, Rewrites: rewrites, Proxies: proxies(s.o.Env), Offline: s.o.Offline || isar.Truth(noNetwork), Now: s.o.Now}
	if s.lock != nil {
		if o.StateID, err = s.lock.digest(toolsKey); err != nil {
			return nil, err
		}
		o.Locked = s.lock
	}
	return OpenTools(o)
}
