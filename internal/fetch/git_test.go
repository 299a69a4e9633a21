package fetch

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"n3x/internal/diag"
	"n3x/internal/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

// upstream is a git repository with two branches and a tag on the first commit.
type upstream struct {
	t                    *testing.T
	dir                  string
	git                  HostGit
	first, second, other string
}

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	if _, err := sandbox.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	u := &upstream{t: t, dir: filepath.Join(t.TempDir(), "up.git"), git: HostGit{Env: []string{"PATH=" + os.Getenv("PATH"),
		"HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "GIT_DIR=/nonexistent", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b"}}}
	write(t, u.dir+"/sub/file", "one")
	u.run("init", "-q", "-b", "main")
	u.first = u.commit("first")
	u.run("tag", "-a", "-m", "x", "v1")
	u.run("checkout", "-q", "-b", "other")
	u.other = u.commit("other")
	u.run("checkout", "-q", "main")
	u.second = u.commit("second")
	return u
}

func (u *upstream) run(args ...string) string {
	u.t.Helper()
	out, stderr, status, err := u.git.Git(context.Background(), u.dir, nil, args...)
	if err != nil || status != 0 {
		u.t.Fatalf("git %v: %v %s", args, err, stderr)
	}
	return strings.TrimSpace(out)
}

func (u *upstream) commit(msg string) string {
	u.run("add", "-A")
	u.run("commit", "-q", "--allow-empty", "-m", msg)
	return u.run("rev-parse", "HEAD")
}

// unpack fetches and unpacks uri, in which UP is the upstream, and returns the work folder.
func (u *upstream) unpack(o Options, uri, srcrev string) (string, error) {
	u.t.Helper()
	return u.unpackAt(o, uri, func(string) string { return srcrev })
}

// unpackAt is unpack with a revision for each name.
func (u *upstream) unpackAt(o Options, uri string, srcrev func(name string) string) (string, error) {
	u.t.Helper()
	if o.DownloadDir == "" {
		o.DownloadDir = u.t.TempDir()
	}
	o.Git = u.git
	f, err := New(o)
	if err != nil {
		u.t.Fatal(err)
	}
	s, err := ParseSources(Request{SrcURI: strings.ReplaceAll(uri, "UP", "git://"+u.dir), Pos: diag.Pos{File: "r.bb", Line: 7},
		Revision: srcrev})
	if err != nil {
		return "", err
	}
	work := u.t.TempDir()
	if err := f.Fetch(u.t.Context(), s); err != nil {
		return "", err
	}
	return work, f.Unpack(u.t.Context(), s[0], work)
}

func (u *upstream) head(dir string) string {
	out, stderr, status, err := u.git.Git(context.Background(), dir, nil, "rev-parse", "HEAD")
	if err != nil || status != 0 {
		u.t.Fatalf("%v %s", err, stderr)
	}
	return strings.TrimSpace(out)
}

func TestGit(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	for _, tt := range []struct{ uri, srcrev, dest, want, err string }{
		{"UP;branch=main", u.first, "git", u.first, ""},
		{"UP;branch=main", "AUTOINC", "git", u.second, ""},
		{"UP;branch=main;destsuffix=src/x", u.second, "src/x", u.second, ""},
		{"UP;branch=main;subdir=s", u.second, "s", u.second, ""},
		{"UP;branch=main;subdir=s;destsuffix=d", u.second, "s/d", u.second, ""},
		{"UP;branch=main;subpath=sub", u.second, "sub", u.second, ""},
		{"UP;nobranch=1", u.other, "git", u.other, ""},
		{"UP;branch=main", u.other, "", "", "no address has it"},
		{"UP;branch=nope", "AUTOINC", "", "", `there is no branch or tag "nope"`},
		{"UP;branch=main;tag=v1", "", "git", u.first, ""},
		{"UP;branch=main;tag=v1", u.first, "git", u.first, ""},
		{"UP;branch=main;tag=v1", u.second, "", "", "tag v1 is commit " + u.first},
		{"UP;branch=main", "v1", "git", u.first, ""},
		{"UP;branch=main;usehead=1", "AUTOINC", "git", u.second, ""},
		{"UP;branch=main;destsuffix=../x", u.second, "", "", "destsuffix=../x leads out of the work folder"},
		{"UP;branch=main;destsuffix=.", u.second, "", "", "would replace the whole work folder"},
		{"UPnope;branch=main", u.second, "", "", "no address has it"},
	} {
		t.Run(tt.uri+" "+tt.srcrev, func(t *testing.T) {
			u := *u
			u.t = t
			work, err := u.unpack(Options{}, tt.uri, tt.srcrev)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.HasPrefix(err.Error(), "r.bb:7: ") {
					t.Errorf("got %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := u.head(filepath.Join(work, tt.dest)); got != tt.want {
				t.Errorf("HEAD is %s, want %s", got, tt.want)
			}
			file := "sub/file"
			if strings.Contains(tt.uri, "subpath") {
				file = "file"
			}
			if got := read(t, filepath.Join(work, tt.dest, file)); got != "one" {
				t.Errorf("file is %q", got)
			}
		})
	}
}

// TestGitOffline: what is in the clone needs no address any more, and new commits are added to the same clone.
func TestGitOffline(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	o := Options{DownloadDir: t.TempDir()}
	if _, err := u.unpack(o, "UP;branch=main", u.first); err != nil {
		t.Fatal(err)
	}
	third := u.commit("third")
	if _, err := u.unpack(o, "UP;branch=main", third); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(u.dir, u.dir+".gone"); err != nil {
		t.Fatal(err)
	}
	if _, err := u.unpack(o, "UP;branch=main", u.second); err != nil {
		t.Error(err)
	}
	if e, _ := os.ReadDir(filepath.Join(o.DownloadDir, "git2")); len(e) != 3 { // the clone, its lock, its stamp
		t.Errorf("git2 holds %v", e)
	}
	if _, err := u.unpack(Options{NoNetwork: true}, "git://example.invalid/x.git;branch=main", u.second); err == nil ||
		!strings.Contains(err.Error(), "no address has it") {
		t.Errorf("got %v", err)
	}
}

// TestGitMirrors: the clone comes from another repository, a folder, or the tarball of a bare clone.
func TestGitMirrors(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	uri := "git://example.invalid/proj/up.git;branch=main;protocol=https"
	tarball := filepath.Join(t.TempDir(), "git2_example.invalid.proj.up.git.tar.gz")
	bare := filepath.Join(t.TempDir(), "bare")
	u.run("clone", "-q", "--bare", "--mirror", u.dir, bare)
	pack := sandbox.Cmd{Argv: []string{"tar", "-C", bare, "-czf", tarball, "."}, Env: u.git.Env, Host: true}
	if err := pack.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, mirror := range map[string]string{
		"repository": "git://example.invalid/.* git://" + filepath.Dir(u.dir) + "/BASENAME;protocol=file",
		"tarball":    "git://.*/.* file://" + filepath.Dir(tarball) + "/",
	} {
		work, err := u.unpack(Options{NoNetwork: true, Premirrors: mirrors(t, mirror)}, uri, u.second)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := u.head(work + "/git"); got != u.second {
			t.Errorf("%s: HEAD is %s", name, got)
		}
	}
}

// TestHostGitInherits: without an environment of its own, git has this process's, but not what points elsewhere.
func TestHostGitInherits(t *testing.T) {
	u := newUpstream(t)
	t.Setenv("GIT_DIR", "/nonexistent")
	t.Setenv("GIT_AUTHOR_NAME", "inherited")
	out, stderr, status, err := HostGit{}.Git(t.Context(), u.dir, []string{"GIT_AUTHOR_EMAIL=more"}, "var", "GIT_AUTHOR_IDENT")
	if err != nil || status != 0 || !strings.HasPrefix(out, "inherited <more>") {
		t.Errorf("%q %q %d %v", out, stderr, status, err)
	}
}

func TestGitLFS(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	write(t, u.dir+"/.gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n")
	rev := u.commit("lfs")
	if _, err := u.unpack(Options{}, "UP;branch=main", rev); err == nil || !strings.Contains(err.Error(), "Git LFS is not supported yet") {
		t.Errorf("got %v", err)
	}
	if _, err := u.unpack(Options{}, "UP;branch=main;lfs=0", rev); err != nil {
		t.Error(err)
	}
}

func TestGitNames(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"git://github.com/a/b.git;branch=m;rev=x":                        "github.com.a.b.git https://github.com/a/b.git",
		"git://git@h.example:22/a b/(c).git;branch=m;protocol=ssh;rev=x": "h.example.22.a_b._c_.git ssh://git@h.example:22/a%20b/%28c%29.git",
		"git:///srv/x.git;branch=m;rev=x":                                "srv.x.git file:///srv/x.git",
		"git://h/x;branch=m;rev=x":                                       "h.x git://h/x",
	} {
		s, err := Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.gitName() + " " + s.gitAddress(); got != want {
			t.Errorf("%s: got %s, want %s", uri, got, want)
		}
	}
}
