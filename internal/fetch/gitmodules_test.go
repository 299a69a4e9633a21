package fetch

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"n3x/internal/diag"
)

// repository makes another repository beside u, with one file, and returns its folder and commit.
func (u *upstream) repository(name string) *upstream {
	r := *u
	r.dir = filepath.Join(filepath.Dir(u.dir), name)
	write(u.t, r.dir+"/"+name+".txt", name)
	r.run("init", "-q", "-b", "main")
	r.first = r.commit("first")
	return &r
}

// submodule adds a submodule without cloning it.
func (u *upstream) submodule(name, path, url, commit string) {
	u.run("config", "-f", ".gitmodules", "submodule."+name+".path", path)
	u.run("config", "-f", ".gitmodules", "submodule."+name+".url", url)
	u.run("update-index", "--add", "--cacheinfo", "160000,"+commit+","+path)
	u.run("add", ".gitmodules")
	u.run("commit", "-q", "-m", "submodule "+name)
}

// TestSubmodules: relative and absolute, nested, on no branch any more; the second time without their repositories.
func TestSubmodules(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	inner, middle, other := u.repository("inner"), u.repository("middle.git"), u.repository("other")
	middle.submodule("deep", "lib/deep", "../inner", inner.first)
	middleRev := middle.run("rev-parse", "HEAD")
	middle.commit("later")
	u.submodule("group/mid", "third/mid", "../middle.git", middleRev)
	u.submodule("other", "other", "file://"+other.dir, other.first)
	u.run("config", "-f", ".gitmodules", "submodule.none.path", "gone")
	u.run("config", "-f", ".gitmodules", "submodule.none.url", "../gone")
	u.run("add", ".gitmodules")
	u.run("commit", "-q", "-m", "an entry without commit")
	rev := u.run("rev-parse", "HEAD")
	o := Options{DownloadDir: t.TempDir()}
	uri := "gitsm://" + u.dir + ";branch=main"
	for _, name := range []string{"first", "again, offline"} {
		work, err := u.unpack(o, uri, rev)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for file, want := range map[string]string{"third/mid/middle.git.txt": "middle.git", "third/mid/lib/deep/inner.txt": "inner", "other/other.txt": "other"} {
			if got := read(t, filepath.Join(work, "git", file)); got != want {
				t.Errorf("%s: %s holds %q", name, file, got)
			}
		}
		if got := u.head(work + "/git/third/mid"); got != middleRev {
			t.Errorf("%s: mid is at %s, want %s", name, got, middleRev)
		}
		status := *u
		status.dir = work + "/git"
		if out := status.run("status", "--porcelain"); out != "" {
			t.Errorf("%s: git status:\n%s", name, out)
		}
		for _, r := range []*upstream{inner, middle, other} {
			os.Rename(r.dir, r.dir+".gone")
		}
		o.NoNetwork = true
	}
	os.RemoveAll(o.DownloadDir)
	if _, err := u.unpack(o, uri, rev); err == nil || !strings.Contains(err.Error(), "r.bb:7: fetch submodule group/mid") {
		t.Errorf("missing submodule: %v", err)
	}
}

// TestHostileSubmodules: names and paths of a foreign .gitmodules stay in the checkout.
func TestHostileSubmodules(t *testing.T) {
	t.Parallel()
	for _, m := range []struct{ name, path, url, want string }{
		{"../../evil", "a", "../inner", "leads out of the checkout"},
		{"ok", "a", "ext::sh -c touch% pwned", "no address has it"},
		{"ok", "a", "foo://h/x", `protocol "foo" is not known`},
		{"ok", "a", "--upload-pack=x", "no address has it"},
		{"ok", "a", ".", "is not known"},
	} {
		u := newUpstream(t)
		inner := u.repository("inner")
		u.submodule(m.name, m.path, m.url, inner.first)
		_, err := u.unpack(Options{NoNetwork: true}, "gitsm://"+u.dir+";branch=main", u.run("rev-parse", "HEAD"))
		if err == nil || m.url != "." && !strings.Contains(err.Error(), m.want) {
			t.Errorf("%+v: %v", m, err)
		}
	}
}

// TestSeveralNames: all revisions have to be in the clone, the first is checked out.
func TestSeveralNames(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	revs := map[string]string{"a": u.first, "b": u.other}
	fetch := func(uri string) (*Source, error) {
		f, err := New(Options{DownloadDir: t.TempDir(), Git: u.git})
		if err != nil {
			t.Fatal(err)
		}
		s, err := ParseSources(Request{SrcURI: uri, Revision: func(name string) string { return revs[name] }})
		if err != nil {
			return nil, err
		}
		return s[0], f.Fetch(t.Context(), s)
	}
	s, err := fetch("git://" + u.dir + ";name=a,b;branch=main,other")
	if err != nil || s.Revision != u.first || s.Also[0].Revision != u.other {
		t.Errorf("%+v, %v", s, err)
	}
	revs["b"] = "AUTOINC"
	if s, err = fetch("git://" + u.dir + ";name=a,b;branch=main,other"); err != nil || s.Also[0].Revision != u.other {
		t.Errorf("head of the second branch: %+v, %v", s, err)
	}
	revs["b"] = u.other
	if _, err = fetch("git://" + u.dir + ";name=a,b;branch=main,main"); !strings.Contains(notes(err), "revision "+u.other+" in branch main") {
		t.Errorf("second on the wrong branch: %v", err)
	}
}

// notes are the lines below an error.
func notes(err error) string {
	var e *diag.Error
	if !errors.As(err, &e) {
		return ""
	}
	return strings.Join(e.Notes, "\n")
}

// TestDefaultBranch: without branch= it is master, as in BitBake 2.8, with a warning.
func TestDefaultBranch(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.run("branch", "master", u.first)
	var warned string
	o := Options{Warn: func(text string) { warned += text }}
	work, err := u.unpack(o, "UP", "AUTOINC")
	if err != nil || u.head(work+"/git") != u.first || !strings.Contains(warned, "has no branch parameter") {
		t.Errorf("%v, warned %q", err, warned)
	}
}
