package kas

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// hostGit runs the real git, away from the user's configuration, and notes what it ran.
type hostGit struct {
	mu  sync.Mutex
	ran []string
}

func (g *hostGit) Git(ctx context.Context, dir string, env []string, args ...string) (string, string, int, error) {
	g.mu.Lock()
	g.ran = append(g.ran, args[0])
	g.mu.Unlock()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &stdout, &stderr
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_AUTHOR_DATE=2026-01-01T00:00:00Z", "GIT_COMMITTER_NAME=a",
		"GIT_COMMITTER_EMAIL=a@b", "GIT_COMMITTER_DATE=2026-01-01T00:00:00Z"}, env...)
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return stdout.String(), stderr.String(), exit.ExitCode(), nil
	}
	return stdout.String(), stderr.String(), 0, err
}

// scene is a work folder beside an upstream repository with some history.
type scene struct {
	t   *testing.T
	dir string
	git *hostGit
	up  string // the upstream repository
}

func newScene(t *testing.T) *scene {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	s := &scene{t: t, dir: t.TempDir(), git: &hostGit{}}
	s.up = filepath.Join(s.dir, "up")
	writeFile(t, filepath.Join(s.up, "conf/layer.conf"), "one\n")
	s.run(s.up, "init", "-q", "-b", "main")
	s.commit("first")
	return s
}

func (s *scene) run(dir string, args ...string) string {
	s.t.Helper()
	out, stderr, status, err := s.git.Git(s.t.Context(), dir, nil, args...)
	if err != nil || status != 0 {
		s.t.Fatalf("git %v: %v %s", args, err, stderr)
	}
	return strings.TrimSpace(out)
}

// commit records all changes of the upstream repository and returns the commit's ID.
func (s *scene) commit(msg string) string {
	s.run(s.up, "add", "-A")
	s.run(s.up, "commit", "-q", "--allow-empty", "-m", msg)
	return s.run(s.up, "rev-parse", "HEAD")
}

// load runs Load on a file with the given repos: text, in which UP is the upstream's address.
func (s *scene) load(repos string, change ...func(*Options)) (*Project, error) {
	s.t.Helper()
	writeFile(s.t, filepath.Join(s.dir, "work/a.yml"), head+strings.ReplaceAll(repos, "UP", "file://"+s.up))
	o := Options{Dir: filepath.Join(s.dir, "work"), Files: "a.yml", Git: s.git, Env: map[string]string{}}
	for _, c := range change {
		c(&o)
	}
	s.git.ran = nil
	return Load(s.t.Context(), o)
}

func (s *scene) mustLoad(repos string, change ...func(*Options)) *Project {
	s.t.Helper()
	p, err := s.load(repos, change...)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (s *scene) head() string { return s.run(filepath.Join(s.dir, "work/x"), "rev-parse", "HEAD") }

func withEnv(name, value string) func(*Options) {
	return func(o *Options) { o.Env[name] = strings.ReplaceAll(value, "DIR", o.Dir) }
}

func TestCheckout(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	first := s.run(s.up, "rev-parse", "HEAD")
	s.run(s.up, "tag", "light")
	s.run(s.up, "tag", "-a", "-m", "x", "heavy")
	object := s.run(s.up, "rev-parse", "heavy")
	s.run(s.up, "checkout", "-q", "-b", "other")
	other := s.commit("on other")
	s.run(s.up, "checkout", "-q", "main")
	second := s.commit("second")

	for _, tt := range []struct{ name, keys, want, wantErr string }{
		{"branch", "branch: main", second, ""},
		{"commit", "commit: " + first, first, ""},
		{"branch and commit", "branch: main\n    commit: " + first, first, ""},
		{"commit of another branch", "branch: main\n    commit: " + other, "", `branch "main" of repository "x" does not contain`},
		{"tag", "tag: light", first, ""},
		{"tag and its object", "tag: heavy\n    commit: " + object, first, ""},
		{"tag and another commit", "tag: light\n    commit: " + second, "", "but commit " + second + " is asked for"},
		{"no such tag", "tag: nope", "", `fetch repository "x"`},
		{"no such branch", "branch: nope", "", `branch "nope" cannot be found`},
		{"tag and branch", "tag: light\n    branch: main", "", `both tag "light" and branch "main"`},
		{"refspec", "refspec: other", other, ""},
		{"full ref", "branch: refs/heads/other", other, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &scene{t: t, dir: t.TempDir(), git: s.git, up: s.up}
			_, err := s.load("repos:\n  x:\n    url: UP\n    " + tt.keys + "\n")
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("got error %v, want %q", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := s.head(); got != tt.want {
				t.Errorf("HEAD is %s, want %s", got, tt.want)
			}
		})
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	repos := "repos:\n  x:\n    url: UP\n    branch: main\n"
	s.mustLoad(repos)
	first := s.head()
	second := s.commit("second")
	s.mustLoad(repos)
	if s.head() != first {
		t.Error("a branch moved without --update")
	}
	s.mustLoad(repos, func(o *Options) { o.Update = true })
	if s.head() != second {
		t.Error("--update did not bring the new commit")
	}
	writeFile(t, filepath.Join(s.dir, "work/a.lock.yml"), head+"overrides:\n  repos:\n    x:\n      commit: "+first+"\n")
	s.mustLoad(repos)
	if s.head() != first {
		t.Error("the lock file was not followed")
	}
	s.run(s.up, "commit", "-q", "--allow-empty", "--amend", "-m", "moved")
	writeFile(t, filepath.Join(s.dir, "work/x/conf/layer.conf"), "changed by the user\n")
	s.mustLoad(repos, func(o *Options) { o.Update = true })
	if got, _ := os.ReadFile(filepath.Join(s.dir, "work/x/conf/layer.conf")); string(got) != "changed by the user\n" || s.head() != first {
		t.Error("a dirty checkout was overwritten")
	}
	s.mustLoad(repos, func(o *Options) { o.ForceCheckout = true })
	if got, _ := os.ReadFile(filepath.Join(s.dir, "work/x/conf/layer.conf")); string(got) != "one\n" {
		t.Error("--force-checkout kept the change")
	}
}

// TestIncludeFromRepo: a file of a repository that another such file defines is found, over two rounds.
func TestIncludeFromRepo(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	writeFile(t, filepath.Join(s.up, "kas/x.yml"), head+"  includes:\n  - {repo: y, file: kas/y.yml}\nrepos:\n  y:\n    url: file://"+s.up+"\n    branch: main\n")
	writeFile(t, filepath.Join(s.up, "kas/y.yml"), head+"machine: from-y\n")
	s.commit("kas")
	p := s.mustLoad("  includes:\n  - {repo: x, file: kas/x.yml}\nrepos:\n  x:\n    url: UP\n    branch: main\n",
		func(o *Options) { o.Provides = func(*Repo) bool { return true } })
	if p.Machine != "from-y" {
		t.Errorf("machine is %q", p.Machine)
	}
	var files []string
	for _, f := range p.Files {
		rel, _ := filepath.Rel(p.WorkDir, f.Path)
		files = append(files, rel)
	}
	if d := cmp.Diff([]string{"y/kas/y.yml", "x/kas/x.yml", "a.yml"}, files); d != "" {
		t.Error(d)
	}
	if _, err := s.load("  includes:\n  - {repo: x, file: kas/z.yml}\nrepos:\n  x:\n    url: UP\n    branch: main\n"); err == nil ||
		!strings.Contains(err.Error(), "a.yml:4:5: kas file x/kas/z.yml does not exist") {
		t.Errorf("got %v", err)
	}
}

func TestProvided(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	p := s.mustLoad("repos:\n  isar:\n    url: https://example.invalid/isar\n    commit: "+strings.Repeat("a", 40)+"\n    layers:\n      meta:\n  x:\n    url: UP\n    branch: main\n",
		func(o *Options) { o.Provides = func(r *Repo) bool { return r.ID == "isar" } })
	var got []string
	for _, l := range p.Layers() {
		if l.Provided {
			got = append(got, filepath.Base(l.Path))
		}
	}
	if d := cmp.Diff([]string{"meta"}, got); d != "" {
		t.Error(d)
	}
	if !strings.Contains(p.BBLayersConf, "${TOPDIR}/../isar/meta ") {
		t.Errorf("bblayers.conf lacks the provided layer:\n%s", p.BBLayersConf)
	}
	if exists(filepath.Join(s.dir, "work/isar")) || !exists(filepath.Join(s.dir, "work/x")) {
		t.Error("the provided repository was cloned, or the other one was not")
	}
}

func TestReferenceAndMirror(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	repos := "repos:\n  x:\n    url: https://example.invalid/some/up.git\n    branch: main\n"
	mirror := withEnv("KAS_PREMIRRORS", `https://(.*)/some/(up)\.git file://`+s.dir+`/\2`)
	s.mustLoad(repos, mirror, withEnv("KAS_REPO_REF_DIR", "DIR/refs"))
	if !exists(filepath.Join(s.dir, "work/refs/example.invalid.some.up.git/HEAD")) {
		t.Error("no reference clone")
	}
	if got := s.run(filepath.Join(s.dir, "work/x"), "remote", "get-url", "origin"); got != "file://"+s.up {
		t.Errorf("origin is %s", got)
	}
	if entries, _ := os.ReadDir(filepath.Join(s.dir, "work/refs")); len(entries) != 1 {
		t.Errorf("%d entries in the reference folder", len(entries))
	}
}

func TestShallow(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	first := s.run(s.up, "rev-parse", "HEAD")
	s.commit("second")
	s.run(s.up, "config", "uploadpack.allowAnySHA1InWant", "true")
	s.mustLoad("repos:\n  x:\n    url: UP\n    branch: main\n    commit: "+first+"\n", withEnv("KAS_CLONE_DEPTH", "1"))
	if s.head() != first {
		t.Error("wrong commit")
	}
	if !exists(filepath.Join(s.dir, "work/x/.git/shallow")) {
		t.Error("the clone is not shallow")
	}
}

func TestCloneFailures(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	_, err := s.load("repos:\n  x:\n    url: UPnope\n    branch: main\n")
	if err == nil || !strings.Contains(err.Error(), `a.yml:4:3: clone repository "x"`) {
		t.Errorf("got %v", err)
	}
	if entries, _ := os.ReadDir(filepath.Join(s.dir, "work")); len(entries) != 1 {
		t.Errorf("a failed clone left %v", entries)
	}
	writeFile(t, filepath.Join(s.dir, "work/x/file"), "mine")
	s.run(filepath.Join(s.dir, "work"), "init", "-q")
	_, err = s.load("repos:\n  x:\n    url: UP\n    branch: main\n")
	if err == nil || !strings.Contains(err.Error(), "exists, but is no git checkout") {
		t.Errorf("got %v", err)
	}
}

func TestPatches(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	patch := func(from, to string) string {
		return "From 1\nFrom: A <a@b>\nDate: Tue, 3 Mar 2026 10:00:00 +0100\n\n--- a/conf/layer.conf\n+++ b/conf/layer.conf\n@@ -1 +1 @@\n-" + from + "\n+" + to + "\n"
	}
	writeFile(t, filepath.Join(s.dir, "work/p/1.patch"), patch("one", "two"))
	writeFile(t, filepath.Join(s.dir, "work/p/q/series"), "# comment\n2.patch # why\n\n3.patch\n")
	writeFile(t, filepath.Join(s.dir, "work/p/q/2.patch"), patch("two", "three"))
	writeFile(t, filepath.Join(s.dir, "work/p/q/3.patch"), patch("three", "four"))
	repos := "defaults: {repos: {patches: {repo: here}}}\nrepos:\n  here:\n  x:\n    url: UP\n    branch: main\n    patches:\n" +
		"      20-series: {path: p/q}\n      10-one: {path: p/1.patch}\n      gone:\n"
	s.mustLoad(repos)
	work := filepath.Join(s.dir, "work/x")
	got := s.run(work, "log", "--format=%an <%ae> %cn <%ce> %aI %cI %s", "-3")
	want := strings.Repeat("kas <kas@example.com> kas User <kas@example.com> 2026-03-03T10:00:00+01:00 2026-03-03T10:00:00+01:00 kas: 20-series\n", 2) +
		"kas <kas@example.com> kas User <kas@example.com> 2026-03-03T10:00:00+01:00 2026-03-03T10:00:00+01:00 kas: 10-one"
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if b := s.run(work, "branch", "--show-current"); b != "patched-main" {
		t.Errorf("branch is %s", b)
	}
	before := s.head()
	s.mustLoad(repos)
	if s.head() != before {
		t.Error("a second run gave other commits")
	}
	writeFile(t, filepath.Join(s.dir, "work/p/1.patch"), patch("zero", "two"))
	if _, err := s.load(repos); err == nil || !strings.Contains(err.Error(), `patch "10-one" does not apply to repository "x": p/1.patch`) {
		t.Errorf("got %v", err)
	}
	os.Remove(filepath.Join(s.dir, "work/p/1.patch"))
	if _, err := s.load(repos); err == nil || !strings.Contains(err.Error(), "there is no patch and no quilt series at p/1.patch") {
		t.Errorf("got %v", err)
	}
}

func TestNoCheckout(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	p := s.mustLoad("repos:\n  x:\n    url: UP\n    branch: main\n", func(o *Options) { o.NoCheckout = true })
	if len(s.git.ran) != 0 || len(p.Repos) != 1 {
		t.Errorf("git ran %v", s.git.ran)
	}
}

func TestSubmoduleRoot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, ".git/HEAD"), "x")
	writeFile(t, filepath.Join(dir, "sub/.git"), "gitdir: ../.git/modules/sub\n")
	writeFile(t, filepath.Join(dir, "sub/kas/a.yml"), head)
	writeFile(t, filepath.Join(dir, "wt/.git"), "gitdir: /elsewhere/.git/worktrees/wt\n")
	real, _ := filepath.EvalSymlinks(dir)
	for from, want := range map[string]string{"sub/kas": real, "sub": real, "wt": filepath.Join(real, "wt"), ".": real} {
		if got, ok := repoRoot(filepath.Join(dir, from)); got != want || !ok {
			t.Errorf("root of %s is %s", from, got)
		}
	}
}

func TestWriteConf(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "a.yml"), head)
	p, err := Load(t.Context(), Options{Dir: dir, Files: "a.yml", NoCheckout: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.WriteConf(); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(filepath.Join(dir, "build/conf/local.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.WriteConf(); err != nil {
		t.Fatal(err)
	}
	if again, _ := os.Stat(filepath.Join(dir, "build/conf/local.conf")); !os.SameFile(st, again) || !again.ModTime().Equal(st.ModTime()) {
		t.Error("an unchanged file was written again")
	}
	if tag, _ := os.ReadFile(filepath.Join(dir, "build/CACHEDIR.TAG")); !strings.HasPrefix(string(tag), "Signature: 8a477f597d28d172789f06886806bc55\n") {
		t.Errorf("CACHEDIR.TAG is %q", tag)
	}
	p.BuildDir = filepath.Join(dir, "no/such/build")
	if err := p.WriteConf(); err == nil || !strings.Contains(err.Error(), "the folder above it does not exist") {
		t.Errorf("got %v", err)
	}
}
