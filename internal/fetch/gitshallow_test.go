package fetch

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// history is a repository with a branch that was merged, as the recorded answers have it.
func history(t *testing.T) (u *upstream, branch string) {
	u = newUpstream(t)
	u.dir = filepath.Join(t.TempDir(), "src")
	u.git.Env = append(slices.Clone(u.git.Env), "GIT_AUTHOR_DATE=@1700000000 +0000", "GIT_COMMITTER_DATE=@1700000000 +0000")
	file := func(names ...string) {
		for _, n := range names {
			write(t, filepath.Join(u.dir, n), "")
			u.commit(n)
		}
	}
	write(t, u.dir+"/a", "")
	u.run("init", "-q", "-b", "main")
	file("a", "b")
	u.run("tag", "v0")
	u.run("checkout", "-q", "-b", "a_branch")
	file("c", "d")
	branch = u.run("rev-parse", "HEAD")
	u.run("tag", "-a", "-m", "x", "v1")
	u.run("checkout", "-q", "main")
	file("e")
	u.run("merge", "-q", "--no-ff", "--no-edit", "a_branch")
	file("f")
	u.run("branch", "feature/x", "v0")
	return u, branch
}

// settings read GitShallow from short forms of its variables: DEPTH, DEPTH_name, REVS, REVS_name, EXTRA_REFS.
func settings(t *testing.T, words string) *GitShallow {
	vars := map[string]string{}
	for _, w := range strings.Fields(words) {
		name, value, _ := strings.Cut(w, "=")
		vars[name] = strings.ReplaceAll(value, ",", " ")
	}
	get := func(kind, name string) (string, bool) {
		v, ok := vars[kind+"_"+name]
		if !ok {
			v, ok = vars[kind]
		}
		return v, ok
	}
	return &GitShallow{Tarballs: true, ExtraRefs: strings.Fields(vars["EXTRA_REFS"]),
		Depth: func(name string) (int, error) {
			v, ok := get("DEPTH", name)
			if !ok {
				return 1, nil
			}
			n := 0
			for _, c := range v {
				n = 10*n + int(c-'0')
			}
			return n, nil
		},
		Revs: func(name string) ([]string, error) { v, _ := get("REVS", name); return strings.Fields(v), nil }}
}

// TestShallow: names of tarballs, and what a checkout out of them has: refs, commits behind HEAD and in all. Recorded from
// bitbake 2.8's lib/bb/fetch2 with git 2.39: download, remove git2, download and unpack.
func TestShallow(t *testing.T) {
	t.Parallel()
	u, branch := history(t)
	main := u.run("rev-parse", "main")
	const both = "UP;branch=main,a_branch;name=main,a_branch"
	for _, tt := range []struct{ uri, settings, tarball, refs, counts string }{
		{"UP;branch=main", "", "e39ad2b-1_main", "heads/main remotes/origin/main", "1 1"},
		{"UP;branch=main", "DEPTH=3", "e39ad2b-3_main", "heads/main remotes/origin/main", "6 6"},
		{"UP;branch=main", "DEPTH=2 DEPTH_default=1", "e39ad2b-1_main", "heads/main remotes/origin/main", "1 1"},
		{"UP;nobranch=1", "", "e39ad2b-1", "shallow/default", "1 1"},
		{"UP;branch=main;bareclone=1", "", "bare_e39ad2b-1_main", "heads/main", "1 1"},
		{"UP;branch=main", "EXTRA_REFS=refs/heads/feature/*,refs/tags/v0", "e39ad2b-1_feature.ALL_main_refs.tags.v0",
			"heads/main remotes/origin/feature/x remotes/origin/main tags/v0", "1 2"},
		{"UP;branch=main", "DEPTH=0 REVS=v0", "v0_e39ad2b_main", "heads/main remotes/origin/main", "6 6"},
		{"UP;branch=main", "DEPTH=0 REVS=v1", "v1_e39ad2b_main", "heads/main remotes/origin/main", "5 5"},
		{both, "DEPTH_a_branch=2", "93a2468-2_e39ad2b-1_a_branch_main", "heads/main remotes/origin/a_branch remotes/origin/main", "1 2"},
		{both, "DEPTH=0 REVS_main=v1 REVS_a_branch=v0", "v0_v1_93a2468_e39ad2b_a_branch_main", "heads/main remotes/origin/a_branch remotes/origin/main", "5 5"},
		{"UP;branch=main;rev=main~2", "", "ea62fde-1_main", "heads/main remotes/origin/main", "1 1"},
	} {
		t.Run(tt.uri+" "+tt.settings, func(t *testing.T) {
			u := *u
			u.t = t
			o := Options{DownloadDir: t.TempDir(), Shallow: settings(t, tt.settings), MirrorTarballs: true}
			srcrev := func(name string) string {
				if name == "a_branch" {
					return branch
				}
				return main
			}
			uri, rev, older := strings.Cut(tt.uri, ";rev=")
			if older {
				srcrev = func(string) string { return u.run("rev-parse", rev) }
			}
			if _, err := u.unpackAt(o, uri, srcrev); err != nil {
				t.Fatal(err)
			}
			tarballs, _ := filepath.Glob(o.DownloadDir + "/*.gz")
			want := o.DownloadDir + "/gitshallow_" + strings.ReplaceAll(u.dir[1:], "/", ".") + "_" + tt.tarball + ".tar.gz"
			if !slices.Equal(tarballs, []string{want}) {
				t.Fatalf("tarballs %q, want %q", tarballs, want)
			}
			os.RemoveAll(o.DownloadDir + "/git2")
			away := o
			away.NoNetwork = true
			work, err := u.unpackAt(away, uri, srcrev)
			if err != nil {
				t.Fatal(err)
			}
			if entries, _ := os.ReadDir(o.DownloadDir); len(entries) != 3 { // the tarball, its stamp, git2 with a lock
				t.Errorf("DL_DIR holds %v", entries)
			}
			got := u
			got.dir = work + "/git"
			refs := strings.ReplaceAll(got.run("for-each-ref", "--format=%(refname)"), "refs/", "")
			if strings.Join(strings.Fields(refs), " ") != tt.refs {
				t.Errorf("refs %q, want %q", refs, tt.refs)
			}
			if counts := got.run("rev-list", "--count", "HEAD") + " " + got.run("rev-list", "--count", "--all"); counts != tt.counts {
				t.Errorf("commits %s, want %s", counts, tt.counts)
			}
		})
	}
}

// TestShallowRefused: BitBake refuses these, too, with "Unable to fetch URL from any source".
func TestShallowRefused(t *testing.T) {
	t.Parallel()
	u, _ := history(t)
	main := u.run("rev-parse", "main")
	for vars, want := range map[string]string{"DEPTH=99": "has fewer than 99 commits", "DEPTH=0 REVS=nope": "it does not hold nope of BB_GIT_SHALLOW_REVS", "REVS=-x": "begins with a dash"} {
		o := Options{DownloadDir: t.TempDir(), Shallow: settings(t, vars)}
		_, err := u.unpack(o, "UP;branch=main", main)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "r.bb:7: ") {
			t.Errorf("%s: %v", vars, err)
		}
		entries, _ := os.ReadDir(o.DownloadDir)
		if len(entries) > 1 {
			t.Errorf("%s: DL_DIR holds %v", vars, entries)
		}
	}
}

// TestShallowWhole: without tarballs to write, and with depth 0, everything stays whole.
func TestShallowWhole(t *testing.T) {
	t.Parallel()
	u, _ := history(t)
	main := u.run("rev-parse", "main")
	without := settings(t, "")
	without.Tarballs = false
	for name, s := range map[string]*GitShallow{"no tarballs": without, "depth 0": settings(t, "DEPTH=0")} {
		o := Options{DownloadDir: t.TempDir(), Shallow: s}
		work, err := u.unpack(o, "UP;branch=main", main)
		if err != nil {
			t.Fatal(name, err)
		}
		got := *u
		got.dir = work + "/git"
		if n := got.run("rev-list", "--count", "HEAD"); n != "7" {
			t.Errorf("%s: %s commits", name, n)
		}
		if files, _ := filepath.Glob(o.DownloadDir + "/*.gz"); len(files) > 0 {
			t.Errorf("%s: %q", name, files)
		}
	}
}

// TestShallowMirror: a repository with a submodule comes from the tarballs of another's DL_DIR; a broken one is passed over.
func TestShallowMirror(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	inner := u.repository("inner")
	inner.commit("second")
	u.submodule("in/ner", "lib/inner", "../inner", inner.run("rev-parse", "HEAD"))
	rev := u.run("rev-parse", "HEAD")
	uri := "gitsm://" + u.dir + ";branch=main"
	mirror := Options{DownloadDir: t.TempDir(), Shallow: settings(t, "")}
	if _, err := u.unpack(mirror, uri, rev); err != nil {
		t.Fatal(err)
	}
	tarballs, _ := filepath.Glob(mirror.DownloadDir + "/gitsmshallow_*.tar.gz")
	if len(tarballs) != 2 {
		t.Fatalf("tarballs: %q", tarballs)
	}
	for _, dir := range []string{u.dir, inner.dir} {
		os.Rename(dir, dir+".gone")
	}
	o := Options{DownloadDir: t.TempDir(), Shallow: settings(t, ""), Premirrors: mirrors(t, "gitsm://.*/.* file://"+mirror.DownloadDir+"/")}
	work, err := u.unpack(o, uri, rev)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"git", "git/lib/inner"} {
		got := *u
		got.dir = filepath.Join(work, dir)
		if n := got.run("rev-list", "--count", "HEAD"); n != "1" || got.run("status", "--porcelain") != "" {
			t.Errorf("%s: %s commits, status %q", dir, n, got.run("status", "--porcelain"))
		}
	}
	for _, path := range tarballs {
		data := []byte(read(t, path))
		if err := os.WriteFile(path, data[:len(data)/2], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o.DownloadDir = t.TempDir()
	if _, err := u.unpack(o, uri, rev); err == nil || !strings.Contains(err.Error(), "no address has it") {
		t.Errorf("half a tarball: %v", err)
	}
	if left := names(t, o.DownloadDir); !slices.Equal(left, []string{"git2"}) {
		t.Errorf("DL_DIR holds %v", left)
	}
}

func names(t *testing.T, dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}
