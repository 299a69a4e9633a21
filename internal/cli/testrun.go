package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"n3x/internal/arch"
	"n3x/internal/atomicfile"
	"n3x/internal/build"
	"n3x/internal/diag"
	"n3x/internal/multiconfig"
	"n3x/internal/vm/qemu"
	"n3x/internal/vmtest"
)

// runSuites builds the images and runs the suites.
func (a *app) runSuites(ctx context.Context, p *testPlan) error {
	sets, in, err := a.enterWithSets(ctx, p)
	if err != nil || !in {
		return err
	}
	t := &tester{a: a, p: p, sets: sets, found: map[arch.Arch]*foundTools{}, out: p.f.output}
	if t.out = a.absolute(t.out); p.f.output == "" {
		t.out = filepath.Join(p.buildDir(a), "test-results")
	}
	return t.run(ctx)
}

// enterWithSets reads the kas files of all images, prepares their builds, and continues inside the sandbox, as [app.enter] does.
func (a *app) enterWithSets(ctx context.Context, p *testPlan) (sets []*multiconfig.Set, in bool, err error) {
	if sets, err = a.testSets(ctx, p); err != nil {
		return nil, false, err
	}
	if !inside() {
		for _, s := range sets {
			if err := s.Prepare(ctx); err != nil {
				return nil, false, err
			}
		}
	}
	in, err = a.enter()
	return sets, in, err
}

// buildDir is the build folder of the suites' project.
func (p *testPlan) buildDir(a *app) string {
	if d := a.env["KAS_BUILD_DIR"]; d != "" {
		return a.absolute(d)
	}
	return filepath.Join(p.dir, "build")
}

// testSets reads the kas files of all images.
func (a *app) testSets(ctx context.Context, p *testPlan) ([]*multiconfig.Set, error) {
	chains := vmtest.Chains(p.suites)
	if len(chains) == 0 {
		return nil, nil
	}
	top := filepath.Join(p.buildDir(a), "tests")
	if !inside() {
		// Machines that are only tested do not know the real cluster's token.
		if err := a.makeToken(filepath.Join(top, "n3x/token")); err != nil {
			return nil, err
		}
	}
	first := strings.SplitN(filepath.ToSlash(chains[0][0]), ":", 2)[0]
	if !filepath.IsAbs(first) {
		first = filepath.Join(p.dir, first)
	}
	c := a.multiconfig("n3x test", p.dir, top, filepath.Join(filepath.Dir(first), "n3x.lock"), p.f.offline, "DEPLOY_DIR_IMAGE", "IMAGE_FULLNAME")
	var list []multiconfig.Chain
	for _, files := range chains {
		list = append(list, multiconfig.Chain{ID: multiconfig.Name(files), Files: files, Conf: fmt.Sprintf(`
# What tests need: the guest's agent, and a token that is no other cluster's. What they do not: compressed copies.
IMAGE_PREINSTALL:append = " qemu-guest-agent"
K3S_TOKEN_FILE ?= "%s/n3x/token"
IMAGE_FSTYPES:remove = "wic.zst wic.xz wic.gz wic.bz2 wic.lz4 tar.gz tar.xz tar.zst"
`, top)})
	}
	set, err := multiconfig.Load(ctx, c, list)
	if err != nil {
		return nil, err
	}
	return set.Split(ctx)
}

// makeToken makes a token unless there is one.
func (a *app) makeToken(file string) error {
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	return a.secrets().WriteToken(file)
}

// tester runs suites, inside the sandbox.
type tester struct {
	a    *app
	p    *testPlan
	sets []*multiconfig.Set
	out  string // the folder of the results

	values map[string]map[string]string // of multiconfigs, for what suites need; nil before they are known

	mu    sync.Mutex
	found map[arch.Arch]*foundTools
}

type foundTools struct {
	tools qemu.Tools
	accel qemu.Accel
	err   error
}

func (t *tester) run(ctx context.Context) error {
	start := time.Now()
	lock, err := t.occupy()
	if err != nil {
		return err
	}
	defer lock.Unlock()
	r := &vmtest.Runner{
		Profiles: t.p.profiles, Build: t.build, Missing: t.missing(ctx), Dir: filepath.Join(t.out, "suites"),
		Scale: t.p.f.scale, Seed: t.p.f.seed, Parallel: t.p.f.parallel, Twins: !t.p.f.noTwins, Show: t.show,
		Tools: func(of arch.Arch) (qemu.Tools, qemu.Accel, error) { return t.tools(ctx, of) },
	}
	if t.p.f.keep {
		r.Stay = t.stay
	}
	results, err := r.Run(ctx, t.p.suites)
	if err != nil {
		return err
	}
	err = errors.Join(t.write(results), t.summary(results, time.Since(start)))
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// occupy empties the folder of the results, in which no other run may be.
func (t *tester) occupy() (*atomicfile.Lock, error) {
	if err := os.MkdirAll(t.out, 0o777); err != nil {
		return nil, diag.Userf(diag.Pos{}, "make the folder of the results: %w", err)
	}
	ours := exists(filepath.Join(t.out, ".lock"))
	if !ours && exists(filepath.Join(t.out, "suites")) {
		return nil, diag.Userf(diag.Pos{}, "%s has a folder suites that is not n3x test's, which would replace it", t.a.relative(t.out)).WithHint("choose another folder by --output")
	}
	lock, err := atomicfile.TryLock(filepath.Join(t.out, ".lock"))
	switch {
	case errors.Is(err, atomicfile.ErrLocked):
		return nil, diag.Userf(diag.Pos{}, "another n3x test uses %s: %w", t.a.relative(t.out), err).WithHint("wait for it, or choose another folder by --output")
	case err != nil:
		return nil, diag.Userf(diag.Pos{}, "write results: %w", err).WithHint("choose another folder by --output")
	}
	// A run that is killed must not leave the results of the one before.
	for _, old := range []string{filepath.Join(t.out, "suites"), filepath.Join(t.out, "junit.xml"), filepath.Join(t.out, "report.html")} {
		if err := os.RemoveAll(old); err != nil {
			lock.Unlock()
			return nil, diag.Failedf(diag.Pos{}, "remove the results of before: %w", err)
		}
	}
	for _, old := range []string{t.p.f.junit, t.p.f.report} {
		if old == "" {
			continue
		}
		if err := os.Remove(t.a.absolute(old)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			lock.Unlock()
			return nil, diag.Userf(diag.Pos{}, "remove the results of before: %w", err)
		}
	}
	return lock, nil
}

// build builds the chains' images.
func (t *tester) build(ctx context.Context, chains [][]string) ([]vmtest.Image, error) {
	out := make([]vmtest.Image, len(chains))
	for i := range out {
		out[i].Err = multiconfig.ErrNotBuilt
	}
	wanted := map[string]int{}
	for i, c := range chains {
		wanted[multiconfig.Name(c)] = i
	}
	for _, s := range t.sets {
		s.Only(func(u *multiconfig.Unit) bool { _, ok := wanted[u.ID]; return ok })
		if len(s.Good()) == 0 {
			t.blame(s, nil, wanted, out)
			continue
		}
		stream, done := t.a.progress()
		made, _, err := s.Build(ctx, stream)
		done()
		if err != nil {
			return nil, err
		}
		t.blame(s, made, wanted, out)
	}
	return out, nil
}

// blame gives each chain its image, or the reason that it has none.
func (t *tester) blame(s *multiconfig.Set, made []build.Target, wanted map[string]int, out []vmtest.Image) {
	for _, u := range s.Units {
		i, ok := wanted[u.ID]
		if !ok {
			continue
		}
		if out[i].Err = s.Reason(u); out[i].Err != nil {
			continue
		}
		at := slices.IndexFunc(made, func(m build.Target) bool { return m.Multiconfig == u.ID && m.Done })
		if at < 0 {
			out[i].Err = multiconfig.ErrNotBuilt
			continue
		}
		out[i].File = filepath.Join(made[at].Values["DEPLOY_DIR_IMAGE"], made[at].Values["IMAGE_FULLNAME"]+".wic")
		if !exists(out[i].File) {
			out[i].Err = diag.Userf(diag.Pos{}, "%s makes no .wic file, so there is nothing to boot", u.ID).WithHint("add wic to IMAGE_FSTYPES")
		}
	}
}

// missing says of each thing that suites need why it is not there.
func (t *tester) missing(ctx context.Context) func(*vmtest.Suite, string) string {
	return func(s *vmtest.Suite, need string) string {
		if need != "k3s" {
			return "n3x does not know what " + need + " is"
		}
		if err := t.evaluate(ctx); err != nil {
			return "what it needs cannot be told: " + err.Error()
		}
		for i := range s.Machines {
			v := t.values[multiconfig.Name(s.Chain(&s.Machines[i]))]
			if v == nil {
				continue // it has an image already, or kas files that are wrong, which building tells
			}
			program := filepath.Join(v["DL_DIR"], "k3s-"+v["K3S_VERSION"]+"-"+v["DISTRO_ARCH"])
			if v["K3S_VERSION"] == "" {
				return "its images have no K3s: K3S_VERSION is not set (kas/packages/k3s-core.yml does)"
			}
			if !exists(program) {
				return fmt.Sprintf("K3s is not there: %s does not exist (building an image with it fetches it)", program)
			}
		}
		return ""
	}
}

// evaluate asks the metadata for what [tester.missing] needs, once.
func (t *tester) evaluate(ctx context.Context) error {
	if t.values != nil {
		return nil
	}
	values := map[string]map[string]string{}
	for _, s := range t.sets {
		v, err := s.Values(ctx, "DL_DIR", "K3S_VERSION", "DISTRO_ARCH")
		if err != nil {
			return err
		}
		maps.Copy(values, v)
	}
	t.values = values
	return nil
}

// tools finds QEMU for an architecture, and tries KVM, once.
func (t *tester) tools(ctx context.Context, of arch.Arch) (qemu.Tools, qemu.Accel, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.found[of]; f != nil {
		return f.tools, f.accel, f.err
	}
	f := &foundTools{}
	var o build.Options
	if len(t.sets) > 0 {
		o = t.sets[0].Options()
	}
	if f.tools, f.err = t.a.qemuTools(ctx, o, of); f.err == nil {
		f.accel, f.err = t.a.proveKVM(ctx, f.tools, of)
	}
	if ctx.Err() == nil {
		t.found[of] = f
	}
	return f.tools, f.accel, f.err
}

// stay leaves a suite's machines to the user, in any terminal, until he ends that.
func (t *tester) stay(ctx context.Context, l *vmtest.Lab, r *vmtest.Result) error {
	if r.Twin != nil || ctx.Err() != nil || !r.Failed() && len(t.p.suites) > 1 {
		return nil
	}
	place, err := t.a.place()
	if err != nil {
		return err
	}
	server, err := place.Serve(r.Suite.Name, "n3x test", l)
	if err != nil {
		return err
	}
	m := l.Machines()[0].Name()
	t.say(fmt.Sprintf("%s: the machines stay: n3x vm ssh %s, n3x vm console %s; n3x vm stop %s goes on, Ctrl-C ends all", r.Suite.Name, m, m, r.Suite.Name))
	held := server.Hold(ctx, l)
	return errors.Join(held, server.Close())
}

func (t *tester) say(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintln(t.a.stderr, line)
}

// show tells what happens.
func (t *tester) show(suite string, e vmtest.Event) {
	line := suite + ": "
	if e.Machine != "" {
		line += e.Machine + " "
	}
	if line += e.Text; e.Took > 0 {
		line += fmt.Sprintf(" (%.1f s)", e.Took.Seconds())
	}
	if e.Failed {
		line += " FAILED"
	}
	t.say(line)
}

// write leaves the results as files.
func (t *tester) write(results []*vmtest.Result) error {
	for _, w := range []struct {
		name, also string
		write      func(io.Writer, []*vmtest.Result) error
	}{{"junit.xml", t.p.f.junit, vmtest.WriteJUnit}, {"report.html", t.p.f.report, vmtest.WriteHTML}} {
		var b strings.Builder
		if err := w.write(&b, results); err != nil {
			return err
		}
		files := []string{filepath.Join(t.out, w.name)}
		if w.also != "" {
			files = append(files, t.a.absolute(w.also))
		}
		for _, f := range files {
			if err := atomicfile.Write(f, []byte(b.String()), 0o644); err != nil {
				return diag.Failedf(diag.Pos{}, "write the results: %w", err)
			}
		}
	}
	return nil
}

// summary is the last lines of a run: each suite's end, and what was left where.
func (t *tester) summary(results []*vmtest.Result, took time.Duration) error {
	count := map[string]int{}
	var errs []error
	for _, r := range results {
		state, why := "ok", ""
		switch {
		case r.Skipped != "":
			state, why = "skipped", ": "+r.Skipped
		case r.Failed():
			state = "FAILED"
			errs = append(errs, r.Failure())
		}
		count[state]++
		fmt.Fprintf(t.a.stdout, "%-7s %s (%.1f s)%s\n", state, r.Name(), r.Took.Seconds(), why)
	}
	fmt.Fprintf(t.a.stdout, "%s: %d passed, %d failed, %d skipped, %.1f s; %s\n", t.a.name, count["ok"], count["FAILED"], count["skipped"], took.Seconds(),
		t.a.relative(filepath.Join(t.out, "report.html")))
	return errors.Join(errs...)
}
