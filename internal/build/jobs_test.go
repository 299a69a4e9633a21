package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"n3x/internal/bitbake/recipe"
	"n3x/internal/diag"
	"n3x/internal/isar"
	"n3x/internal/runqueue"
	"n3x/internal/siginfo"
	"n3x/internal/taskgraph"
)

// A layer whose tasks are all bound to one native.
const fakeConf = `
PN = "${@bb.parse.vars_from_file(d.getVar('FILE', False),d)[0] or 'x'}"
PV = "1.0"
TMPDIR = "${TOPDIR}/tmp"
WORKDIR = "${TMPDIR}/work/${PN}"
T = "${WORKDIR}/temp"
STAMP = "${TMPDIR}/stamps/${PN}"
DEPLOY_DIR_IMAGE = "${TMPDIR}/deploy"
BB_BASEHASH_IGNORE_VARS = "TMPDIR TOPDIR WORKDIR T STAMP FILE PATH HOME"
`

const fakeClass = `
addtask first
addtask second after do_first
addtask again after do_first
addtask build after do_second
do_first() {
    n3x_native fake ${FIRST}
}
do_second() {
    n3x_native fake ${SECOND}
}
do_again() {
    n3x_native fake
}
do_again[nostamp] = "1"
do_build() {
    n3x_native fake
}
do_build[noexec] = "1"
do_build[deptask] = "do_second"
`

// fakeBuild is a build folder with a layer, and a record of which tasks ran.
type fakeBuild struct {
	top   string
	mu    sync.Mutex
	ran   []string
	fails string                   // the task that fails
	also  func(c *isar.Call) error // what a task does, beyond being noted
}

func newFakeBuild(t *testing.T) *fakeBuild {
	t.Helper()
	b := &fakeBuild{top: t.TempDir()}
	for name, text := range map[string]string{
		"conf/bblayers.conf":      "BBPATH = \"${TOPDIR}\"\nBBLAYERS = \"${TOPDIR}/layer\"\n",
		"layer/conf/layer.conf":   "BBPATH .= \":${LAYERDIR}\"\nBBFILES += \"${LAYERDIR}/*.bb\"\nBBFILE_COLLECTIONS += \"fake\"\nBBFILE_PATTERN_fake = \"^${LAYERDIR}/\"\nBBFILE_PRIORITY_fake = \"5\"\n",
		"layer/conf/bitbake.conf": fakeConf, "layer/classes/base.bbclass": fakeClass,
		"layer/lib.bb": "FIRST = \"1\"\n", "layer/app.bb": "DEPENDS = \"lib\"\nSECOND = \"1\"\n", "layer/image.bb": "IMAGE_FULLNAME = \"image-x\"\n",
	} {
		b.write(t, name, text)
	}
	return b
}

func (b *fakeBuild) write(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join(b.top, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (b *fakeBuild) native(_ context.Context, c *isar.Call) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ran = append(b.ran, c.Recipe+":"+strings.TrimPrefix(c.Name, "do_"))
	if c.Name == "do_"+b.fails {
		return errors.New("no luck")
	}
	if b.also != nil {
		return b.also(c)
	}
	return nil
}

// build builds targets and tells which tasks ran, sorted.
func (b *fakeBuild) build(t *testing.T, o Options, targets ...taskgraph.Target) (string, error) {
	t.Helper()
	w, err := recipe.Load(t.Context(), recipe.Options{TopDir: b.top, Environ: map[string]string{"HOME": b.top}})
	if err != nil {
		t.Fatal(err)
	}
	g, err := taskgraph.Build(w, targets)
	if err != nil {
		t.Fatal(err)
	}
	if err := siginfo.Sign(g, w, b.top); err != nil {
		t.Fatal(err)
	}
	s := &session{o: o, world: w, graph: g, engine: &isar.Engine{Natives: map[string]isar.Native{"fake": b.native}, Python: python{w}}}
	b.ran = nil
	s.o.TopDir = b.top
	if err := s.force(); err != nil {
		return "", err
	}
	err = runqueue.Run(t.Context(), s.jobs(), runqueue.Options{Parallel: 2, KeepGoing: o.KeepGoing})
	if n := s.ran.value(); n != len(b.ran) {
		t.Errorf("%d tasks counted, %d ran", n, len(b.ran))
	}
	slices.Sort(b.ran)
	return strings.Join(b.ran, " "), err
}

// expect builds and checks which tasks ran.
func (b *fakeBuild) expect(t *testing.T, what, want string, targets ...taskgraph.Target) {
	t.Helper()
	got, err := b.build(t, Options{}, targets...)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if got != want {
		t.Errorf("%s: ran %q, want %q", what, got, want)
	}
}

var app = taskgraph.Target{Name: "app"}

const allOfApp = "app:first app:second lib:first lib:second"

func TestTasksRunAgainWhenTheirSignatureChanges(t *testing.T) {
	t.Parallel()
	b := newFakeBuild(t)
	b.expect(t, "first build", allOfApp, app)
	b.expect(t, "nothing changed", "", app)
	b.write(t, "layer/app.bb", "# a comment\nDEPENDS = \"lib\"\nSECOND = \"1\"\n")
	b.expect(t, "a comment", "", app)
	b.write(t, "layer/app.bb", "DEPENDS = \"lib\"\nSECOND = \"2\"\n")
	b.expect(t, "a variable of one task", "app:second", app)
	b.write(t, "layer/lib.bb", "FIRST = \"2\"\n")
	b.expect(t, "a variable of a dependency's task", "lib:first lib:second", app)
	b.write(t, "layer/lib.bb", "FIRST = \"1\"\n")
	b.expect(t, "back again: what the task left behind is the other's", "lib:first lib:second", app)
	stamps, err := filepath.Glob(filepath.Join(b.top, "tmp/stamps/lib.do_first.*"))
	stamps = slices.DeleteFunc(stamps, func(s string) bool { return strings.Contains(s, ".sigdata.") }) // what signatures are made of
	if err != nil || len(stamps) != 1 {
		t.Errorf("stamps of one task: %v, %v", stamps, err)
	}
}

// Tasks that are Python in ISAR are so here, since layers add Python to them; what they do lies in functions in shell or Go.
func TestPythonTasksRunOtherFunctions(t *testing.T) {
	t.Parallel()
	b := newFakeBuild(t)
	b.write(t, "layer/classes/base.bbclass", fakeClass+"python do_first() {\n    bb.build.exec_func('first_body', d)\n}\nfirst_body() {\n    n3x_native fake ${SEEN}\n}\n")
	b.write(t, "layer/lib.bb", "python do_first:prepend() {\n    d.setVar('SEEN', 'of the prefix')\n}\npython do_first:append() {\n    bb.fatal('the suffix ran')\n}\n")
	var args []string
	b.also = func(c *isar.Call) error { args = append(args, strings.Join(c.Args, " ")); return nil }
	first := taskgraph.Target{Name: "lib", Task: "first"}
	if _, err := b.build(t, Options{}, first); err == nil || !strings.Contains(err.Error(), "the suffix ran") {
		t.Errorf("error %v", err)
	}
	if want := []string{"of the prefix"}; !slices.Equal(args, want) {
		t.Errorf("ran with %q, want %q", args, want)
	}
	b.fails = "first"
	if _, err := b.build(t, Options{}, first); err == nil || !strings.Contains(err.Error(), "no luck") || strings.Contains(err.Error(), "bbclass") {
		t.Errorf("a function that fails below Python: %v", err)
	}
}

func TestFullDiskBesideATask(t *testing.T) {
	t.Parallel()
	s := &session{o: Options{TopDir: "/top"}}
	task := &taskgraph.Task{Recipe: &recipe.Recipe{File: "/layer/app.bb"}}
	err := s.fullDisk(task, fmt.Errorf("write: %w", &os.PathError{Op: "write", Path: "/top/tmp/siginfo/8b/x", Err: syscall.ENOSPC}))
	var d *diag.Error
	if !errors.As(err, &d) || !strings.HasPrefix(d.Text, "the disk is full: write") || d.Pos.File != "/layer/app.bb" || !strings.Contains(d.Hint, "`df -h /top/tmp/siginfo/8b`") {
		t.Errorf("got %v", err)
	}
	for _, other := range []error{nil, os.ErrPermission, diag.Userf(diag.Pos{}, "no: %w", syscall.ENOSPC)} {
		if got := s.fullDisk(task, other); got != other {
			t.Errorf("%v became %v", other, got)
		}
	}
}

func TestFailureLeavesNoStamp(t *testing.T) {
	t.Parallel()
	b := newFakeBuild(t)
	b.fails = "second"
	if ran, err := b.build(t, Options{}, taskgraph.Target{Name: "lib"}); err == nil || ran != "lib:first lib:second" {
		t.Errorf("ran %q, error %v", ran, err)
	}
	ran, err := b.build(t, Options{KeepGoing: true}, app)
	var f *runqueue.Failure
	if !errors.As(err, &f) || ran != "app:first app:second lib:second" {
		t.Errorf("keep going: ran %q, error %v", ran, err)
	}
	b.fails = ""
	b.expect(t, "repaired", "app:second lib:second", app)
	b.expect(t, "after that", "", app)
}

func TestFailureOfALaterRunRemovesTheStamp(t *testing.T) {
	t.Parallel()
	b := newFakeBuild(t)
	lib := taskgraph.Target{Name: "lib", Task: "first"}
	b.expect(t, "first build", "lib:first", lib)
	b.fails = "first"
	if ran, err := b.build(t, Options{Force: true}, lib); err == nil || ran != "lib:first" {
		t.Errorf("ran %q, error %v", ran, err)
	}
	b.fails = ""
	b.expect(t, "after a forced run that failed", "lib:first", lib)
}

func TestForceRunsTheTargetOnly(t *testing.T) {
	t.Parallel()
	b := newFakeBuild(t)
	second := taskgraph.Target{Name: "app", Task: "second"}
	b.expect(t, "first build", "app:first app:second", second)
	ran, err := b.build(t, Options{Force: true}, second)
	if err != nil || ran != "app:second" {
		t.Errorf("ran %q, error %v", ran, err)
	}
}

func TestNoStampRunsEachTime(t *testing.T) {
	t.Parallel()
	b := newFakeBuild(t)
	again := taskgraph.Target{Name: "lib", Task: "again"}
	b.expect(t, "first build", "lib:again lib:first", again)
	b.expect(t, "second build", "lib:again", again)
	b.write(t, "layer/lib.bb", "addtask later after do_again\ndo_later() {\n    n3x_native fake\n}\n")
	later := taskgraph.Target{Name: "lib", Task: "later"}
	b.expect(t, "what depends on it", "lib:again lib:first lib:later", later)
	b.expect(t, "each time", "lib:again lib:later", later)
}

func TestTasksRunAgainWhenWhatTheyLeftIsGone(t *testing.T) {
	t.Parallel()
	b := newFakeBuild(t)
	image := taskgraph.Target{Name: "image"}
	deployed := filepath.Join(b.top, "tmp/deploy/image-x.wic")
	layer := filepath.Join(b.top, "tmp/work/image/layers/1")
	stack := filepath.Join(b.top, "tmp/work/image/layers/stack.json")
	b.also = func(c *isar.Call) error {
		switch c.Name {
		case "do_first":
			data, err := json.Marshal([]isar.Layer{{Task: "do_first", Dir: layer}})
			return errors.Join(err, os.MkdirAll(layer, 0o755), os.WriteFile(stack, data, 0o644))
		case "do_second":
			return errors.Join(os.MkdirAll(filepath.Dir(deployed), 0o755), os.WriteFile(deployed, []byte("image"), 0o644))
		}
		return nil
	}
	b.expect(t, "first build", "image:first image:second", image)
	b.expect(t, "nothing changed", "", image)
	for _, c := range []struct{ what, remove, want string }{
		{"deployed file", deployed, "image:second"},
		{"layer", layer, "image:first"},
		{"list of layers", stack, "image:first"},
		{"stamps", filepath.Join(b.top, "tmp/stamps"), "image:first image:second"},
	} {
		if err := os.RemoveAll(c.remove); err != nil {
			t.Fatal(err)
		}
		b.expect(t, c.what+" gone", c.want, image)
		b.expect(t, c.what+" made again", "", image)
	}
}

func TestFileDigest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "folder", "file")
	digest := func() string {
		t.Helper()
		d, err := siginfo.FileDigest(filepath.Join(dir, "folder"))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if d := digest(); d != "" {
		t.Errorf("digest %q of nothing", d)
	}
	last := ""
	for _, c := range []struct {
		what   string
		do     func() error
		change bool
	}{
		{"a new file", func() error {
			return errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("a"), 0o644))
		}, true},
		{"other bytes", func() error { return os.WriteFile(file, []byte("b"), 0o644) }, true},
		{"another umask", func() error { return errors.Join(os.Chmod(file, 0o600), os.Chmod(filepath.Dir(file), 0o700)) }, false},
		{"executable", func() error { return os.Chmod(file, 0o700) }, true},
		{"executable for all", func() error { return os.Chmod(file, 0o755) }, false},
		{"another time", func() error { return os.Chtimes(file, time.Unix(1, 0), time.Unix(1, 0)) }, false},
		{"another name", func() error { return os.Rename(file, file+"2") }, true},
		{"a link", func() error { return os.Symlink("file2", file) }, true},
		{"version control", func() error { return os.MkdirAll(filepath.Join(dir, "folder", ".git", "x"), 0o755) }, false},
		{"an empty folder", func() error { return os.Mkdir(filepath.Join(dir, "folder", "empty"), 0o755) }, true},
	} {
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		now := digest()
		if (now != last) != c.change {
			t.Errorf("%s: digest changed: %v, want %v", c.what, now != last, c.change)
		}
		last = now
	}
}

// What was forced makes what depends on it run in later builds too, once; cleaning would end it, a failure does not.
func TestForceLasts(t *testing.T) {
	t.Parallel()
	b := newFakeBuild(t)
	first := taskgraph.Target{Name: "lib", Task: "first"}
	b.expect(t, "first build", allOfApp, app)
	if ran, err := b.build(t, Options{Force: true}, first); err != nil || ran != "lib:first" {
		t.Errorf("ran %q, error %v", ran, err)
	}
	b.expect(t, "what depends on it", "lib:second", app)
	b.expect(t, "after that", "", app)
	if _, err := b.build(t, Options{Again: "frist"}, app); err == nil || !strings.Contains(err.Error(), "no target has a task do_frist") {
		t.Errorf("a slip in -C: %v", err)
	}
}

// A cleared stamp runs the task of the targets' recipes again, and what depends on it; other recipes' task stays done.
func TestClearStamp(t *testing.T) {
	t.Parallel()
	b := newFakeBuild(t)
	b.expect(t, "first build", allOfApp, app)
	for again, want := range map[string]string{"first": "app:first app:second", "do_second": "app:second"} {
		if ran, err := b.build(t, Options{Again: again}, app); err != nil || ran != want {
			t.Errorf("-C %s: ran %q, want %q (%v)", again, ran, want, err)
		}
	}
	b.expect(t, "after that", "", app)
}

func TestAssumeProvided(t *testing.T) {
	t.Parallel()
	b := newFakeBuild(t)
	b.write(t, "layer/app.bb", "DEPENDS = \"lib elsewhere\"\n")
	w, err := recipe.Load(t.Context(), recipe.Options{TopDir: b.top})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := taskgraph.Build(w, []taskgraph.Target{app}); err == nil || !strings.Contains(err.Error(), "nothing PROVIDES elsewhere") {
		t.Errorf("without: %v", err)
	}
	if _, err := taskgraph.Build(Assume(w, []string{"elsewhere"}), []taskgraph.Target{app}); err != nil {
		t.Errorf("with: %v", err)
	}
}
