package multiconfig

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"n3x/internal/build"
	"n3x/internal/fetch"
	"n3x/internal/kas"
	"n3x/internal/metadata"
)

// project writes kas files below a new folder.
func project(t *testing.T) Config {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"kas/base.yml":        "header: {version: 14}\ntarget: image\nmachine: m\ndistro: d\nrepos: {this: {layers: {one: }}}\n",
		"kas/node/a.yml":      "header: {version: 14}\nlocal_conf_header: {node: 'NODE = \"a\"'}\n",
		"kas/node/b.yml":      "header: {version: 14}\nlocal_conf_header: {node: 'NODE = \"b\"'}\n",
		"kas/more.yml":        "header: {version: 14}\nrepos: {this: {layers: {two: }}}\n",
		"kas/two.yml":         "header: {version: 14}\ntarget: [image, other]\n",
		"kas/bad.yml":         "header: {version: 14}\ntargt: image\n",
		"one/conf/layer.conf": "",
		"two/conf/layer.conf": "",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return Config{
		Dir: dir, Top: filepath.Join(dir, "build/all"), Env: map[string]string{}, Verb: "n3x all", Git: fetch.HostGit{},
		Check:   func(context.Context, *kas.Project) error { return nil },
		Session: func(context.Context, *kas.Project) metadata.Session { return metadata.Session{} },
		Options: func(*kas.Project) build.Options { return build.Options{} },
		Say:     func(text string) { t.Log(text) },
	}
}

func chain(id string, files ...string) Chain {
	return Chain{ID: id, Files: append([]string{"kas/base.yml"}, files...)}
}

func TestUnits(t *testing.T) {
	t.Parallel()
	c := project(t)
	a := chain("a", "kas/node/a.yml")
	a.Conf = "MINE = \"1\"\n"
	s, err := Load(t.Context(), c, []Chain{a, chain("bad", "kas/bad.yml"), chain("two", "kas/two.yml"), chain("b", "kas/node/b.yml")})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(c.Top, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if text := read("conf/local.conf"); !strings.Contains(text, "Written by n3x all") || !strings.Contains(text, `BBMULTICONFIG = "a b"`) {
		t.Error(text)
	}
	for _, want := range []string{`NODE = "a"`, `TMPDIR = "${TOPDIR}/tmp/a"`, `MINE = "1"`} {
		if text := read("conf/multiconfig/a.conf"); !strings.Contains(text, want) {
			t.Errorf("a.conf lacks %s:\n%s", want, text)
		}
	}
	if text := read("conf/multiconfig/b.conf"); !strings.Contains(text, `NODE = "b"`) || strings.Contains(text, "MINE") {
		t.Error(text)
	}
	failures := s.Failures("images").Error()
	for _, want := range []string{`bad.yml:2:1`, "two builds image other, and here a chain", "2 of 4 images were not built: bad two"} {
		if !strings.Contains(failures, want) {
			t.Errorf("the failures lack %q:\n%s", want, failures)
		}
	}
	s.Only(func(u *Unit) bool { return u.ID == "b" })
	if good := s.Good(); len(good) != 1 || good[0].ID != "b" || !errors.Is(s.Units[0].Err, ErrNotWanted) || strings.Contains(s.Failures("images").Error(), "3 of 4") {
		t.Error(good, s.Failures("images"))
	}
}

func TestBlame(t *testing.T) {
	t.Parallel()
	s, err := Load(t.Context(), project(t), []Chain{chain("a", "kas/node/a.yml"), chain("b", "kas/node/b.yml")})
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("a task failed")
	s.blame(s.Units, &build.Result{Targets: []build.Target{{Multiconfig: "a", Done: true}, {Multiconfig: "b"}}}, broken)
	if s.Units[0].Err != nil || s.Reason(s.Units[0]) != nil || !errors.Is(s.Reason(s.Units[1]), broken) {
		t.Error(s.Reason(s.Units[0]), s.Reason(s.Units[1]))
	}
	if text := s.Failures("images").Error(); text != "a task failed\n1 of 2 images were not built: b" {
		t.Error(text)
	}
}

func TestSelectionsOfLayers(t *testing.T) {
	t.Parallel()
	c := project(t)
	chains := []Chain{chain("a", "kas/node/a.yml"), chain("more", "kas/more.yml"), chain("b", "kas/node/b.yml")}
	s, err := Load(t.Context(), c, chains)
	if err != nil {
		t.Fatal(err)
	}
	sets, err := s.Split(t.Context())
	if err != nil || len(sets) != 2 {
		t.Fatal(sets, err)
	}
	ids := func(s *Set) (out []string) {
		for _, u := range s.Good() {
			out = append(out, u.ID+" in "+u.Project.BuildDir)
		}
		return out
	}
	if d := cmp.Diff([]string{"a in " + c.Top, "b in " + c.Top}, ids(sets[0])); d != "" {
		t.Error(d)
	}
	if got := ids(sets[1]); len(got) != 1 || !strings.HasPrefix(got[0], "more in "+c.Top+"-") {
		t.Error(got)
	}
	if s, err = Load(t.Context(), c, chains); err != nil {
		t.Fatal(err)
	}
	s.OneSelection(func(u *Unit) string { return "build " + u.ID + " alone" })
	if s.Units[0].Err != nil || s.Units[2].Err != nil || s.Units[1].Err == nil || !strings.Contains(s.Units[1].Err.Error(), "more uses other layers than a") {
		t.Error(s.Units[0].Err, s.Units[1].Err, s.Units[2].Err)
	}
}

func TestName(t *testing.T) {
	t.Parallel()
	one := Name([]string{"kas/base.yml", "kas/image/k3s-server.yml", "kas/network/vlans.yml", "kas/node/server_1.yml"})
	two := Name([]string{"kas/base.yml", "kas/image/k3s-server.yml", "kas/network/vlans.yml", "kas/node/server_1.yml", "kas/x.yml"})
	if !strings.HasPrefix(one, "k3s-server.vlans.server-1.") || len(one) != len("k3s-server.vlans.server-1.01234567") || one == two || strings.TrimLeft(Name([]string{"x.yml"}), "0123456789abcdef") != "" {
		t.Error(one, two)
	}
}
