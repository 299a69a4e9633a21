package kas

import (
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"n3x/internal/diag"
	"n3x/internal/yaml"
)

const head = "header:\n  version: 14\n"

// TestBadInput holds every refusal against its place, text and hint.
func TestBadInput(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		args  string // "" is a.yml
		files map[string]string
		env   map[string]string
		want  string // part of the error
		hint  string // part of its hint
	}{
		{"missing file", "kas/bse.yml", map[string]string{"kas/base.yml": head}, nil, "kas file kas/bse.yml does not exist", "did you mean kas/base.yml?"},
		{"missing folder", "k/base.yml", nil, nil, "kas file k/base.yml does not exist", "folder k does not exist"},
		{"empty name", "a.yml::b.yml", nil, nil, "empty name in the list", "single colons"},
		{"extension", "a.txt", map[string]string{"a.txt": head}, nil, "a.txt is not a kas file by its name", ".yml"},
		{"no default", "", nil, nil, "kas file a.yml does not exist", ""},
		{"tab", "", map[string]string{"a.yml": head + "env:\n\tA: b\n"}, nil, "a.yml:4", "not with tabs"},
		{"yaml", "", map[string]string{"a.yml": head + "target: [a, b\n"}, nil, "a.yml:3:9: not valid YAML", ""},
		{"not utf-8", "", map[string]string{"a.yml": head + "# \xff\n"}, nil, "a.yml:3: byte 0xff is not UTF-8", ""},
		{"empty file", "", map[string]string{"a.yml": ""}, nil, "a.yml:1: the file does not hold a mapping but null", "header:"},
		{"list", "", map[string]string{"a.yml": "- a\n"}, nil, "does not hold a mapping but a list", ""},
		{"no header", "", map[string]string{"a.yml": "machine: x\n"}, nil, `a.yml:1:1: key "header" is missing`, "version: 23"},
		{"no version", "", map[string]string{"a.yml": "header: {}\n"}, nil, `key "version" is missing in header`, ""},
		{"new version", "", map[string]string{"a.yml": "header:\n  version: 24\n"}, nil, "a.yml:2:12: header.version: header version 24 is not supported", "1 to 23"},
		{"old version", "", map[string]string{"a.yml": "header:\n  version: 0\n"}, nil, "header version 0 is not supported", ""},
		{"string version", "", map[string]string{"a.yml": "header:\n  version: '0.10'\n"}, nil, `header version "0.10" is not supported`, "without quotes"},
		{"unknown key", "", map[string]string{"a.yml": head + "repoz:\n  x:\n"}, nil, `a.yml:3:1: unknown key "repoz"`, `did you mean "repos"?`},
		{"unknown repo key", "", map[string]string{"a.yml": head + "repos:\n  x:\n    comit: a\n"}, nil, `a.yml:5:5: unknown key "comit" in repos.x`, `"commit"`},
		{"type", "", map[string]string{"a.yml": head + "env:\n  A: 1\n"}, nil, "a.yml:4:6: env.A: expected a string or nothing, found the integer 1", "quote"},
		{"norway", "", map[string]string{"a.yml": head + "machine: no\n"}, nil, "machine: expected a string, found the boolean false", "booleans"},
		{"date", "", map[string]string{"a.yml": head + "distro: 2026-01-02\n"}, nil, "expected a string, found a date", "quote"},
		{"build system", "", map[string]string{"a.yml": head + "build_system: issar\n"}, nil, `build_system: "issar" is not known`, `did you mean "isar"?`},
		{"layer value", "", map[string]string{"a.yml": head + "repos:\n  x:\n    layers:\n      m: disable\n"}, nil, `a.yml:6:10: repos.x.layers.m: layer value "disable" is not known`, "disabled"},
		{"layer prio", "", map[string]string{"a.yml": head + "repos:\n  x:\n    layers:\n      m: {prio: 100}\n"}, nil, "layer priority 100 is out of range", "-99"},
		{"key type", "", map[string]string{"a.yml": head + "local_conf_header:\n  1: x\n"}, nil, "key 1 is read as the integer 1", `"1"`},
		{"include cycle", "", map[string]string{"a.yml": head + "  includes: [b.yml]\n", "b.yml": head + "  includes: [a.yml]\n"}, nil,
			"b.yml:3:14: include cycle: a.yml includes b.yml includes a.yml", ""},
		{"include itself", "", map[string]string{"a.yml": head + "  includes: [a.yml]\n"}, nil, "include cycle: a.yml includes a.yml", ""},
		{"include missing", "", map[string]string{"a.yml": head + "  includes:\n  - b/c.yml\n", "b/d.yml": head}, nil, "a.yml:4:5: kas file b/c.yml does not exist", ""},
		{"include escapes", "", map[string]string{"a.yml": head + "  includes:\n  - ../x.yml\n"}, nil, `a.yml:4:5: include "../x.yml" leads out of its repository`, "repo:"},
		{"include absolute", "", map[string]string{"a.yml": head + "  includes: [/etc/x.yml]\n"}, nil, "leads out of its repository", ""},
		{"include unknown repo", "", map[string]string{"a.yml": head + "  includes:\n  - {repo: isra, file: x.yml}\nrepos:\n  isar:\n"}, nil,
			`a.yml:4:12: include names the repository "isra", which no file defines`, `did you mean "isar"?`},
		{"include form", "", map[string]string{"a.yml": head + "  includes:\n  - {repo: isar}\n"}, nil, `key "file" is missing in header.includes[0]`, ""},
		{"source dir", "", map[string]string{"a.yml": head + "  includes: [b.yml]\n", "b.yml": head + "_source_dir: /x\n"}, nil, "b.yml:3:14: _source_dir is only allowed in the first kas file", ""},
		{"two repositories", "r/a.yml:s/b.yml", map[string]string{"r/.git/HEAD": "x", "r/a.yml": head, "s/b.yml": head}, nil, "r/a.yml and s/b.yml are not in the same repository", "header.includes"},
		{"no revision", "", map[string]string{"a.yml": head + "repos:\n  x:\n    url: https://example.com/x\n"}, nil, `repository "x" has a url, but no commit, branch or tag`, "commit:"},
		{"refspec mixed", "", map[string]string{"a.yml": head + "repos:\n  x:\n    url: u\n    refspec: a\n    branch: b\n"}, nil, "mixes refspec with", ""},
		{"option as branch", "", map[string]string{"a.yml": head + "repos:\n  x:\n    url: u\n    branch: --upload-pack=x\n"}, nil, "begins with a dash", ""},
		{"empty url", "", map[string]string{"a.yml": head + "repos:\n  x:\n    url: ''\n"}, nil, `a.yml:5:10: url of repository "x" is empty`, ""},
		{"mercurial", "", map[string]string{"a.yml": head + "repos:\n  x:\n    url: u\n    type: hg\n    branch: b\n"}, nil, "Mercurial) is not supported yet", "git mirror"},
		{"signed", "", map[string]string{"a.yml": head + "repos:\n  x:\n    url: u\n    branch: b\n    signed: true\n    allowed_signers: [k]\n"}, nil, "signed repositories are not supported yet", "signed: false"},
		{"signed without signers", "", map[string]string{"a.yml": head + "repos:\n  x:\n    url: u\n    branch: b\n    signed: true\n"}, nil, "has no allowed_signers", ""},
		{"signer", "", map[string]string{"a.yml": head + "signers:\n  k: {path: a}\n"}, nil, "signers.k: a signer with path needs repo", ""},
		{"same path", "", map[string]string{"a.yml": head + "repos:\n  x: {url: u, branch: b, path: p}\n  y: {url: v, branch: b, path: ./p}\n"}, nil, `repositories "x" and "y" would both be checked out in p`, "name:"},
		{"patch without repo", "", map[string]string{"a.yml": head + "repos:\n  x:\n    patches:\n      p1: {path: a}\n"}, nil, `patch "p1" of repository "x" names no repo`, "defaults.repos.patches.repo"},
		{"clone depth", "", map[string]string{"a.yml": head}, map[string]string{"KAS_CLONE_DEPTH": "x"}, `KAS_CLONE_DEPTH="x" is not a number`, ""},
		{"premirror", "", map[string]string{"a.yml": head}, map[string]string{"KAS_PREMIRRORS": "(?=x) y"}, "KAS_PREMIRRORS: regular expression", "look-around"},
		{"quote in machine", "", map[string]string{"a.yml": head}, map[string]string{"KAS_MACHINE": `a"b`}, "has a quote", ""},
		{"json syntax", "a.json", map[string]string{"a.json": "{\"header\":\n {\"version\": 14,}}"}, nil, "a.json:2:17: not valid JSON", ""},
		{"json type", "a.json", map[string]string{"a.json": "{\"header\": {\"version\": 14},\n \"machine\": 3}"}, nil, "a.json:2:13: machine: expected a string", ""},
		{"aliases", "", map[string]string{"a.yml": head + bomb()}, nil, "aliases make this document larger", ""},
		{"include bomb", "", includeBomb(), nil, "includes load more than", ""},
		{"deep", "", map[string]string{"a.yml": head + "env: " + strings.Repeat("[", 5000) + "\n"}, nil, "a.yml", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, text := range tt.files {
				writeFile(t, filepath.Join(dir, name), text)
			}
			o := Options{Dir: dir, Files: tt.args, Env: tt.env}
			if o.Files == "" {
				o.Files = "a.yml"
			}
			_, err := Load(t.Context(), o)
			if err == nil {
				t.Fatal("no error")
			}
			var out strings.Builder
			diag.Render(&out, "kas", err)
			var de *diag.Error
			if !errors.As(err, &de) || diag.Status(err) != 2 {
				t.Errorf("not a user error: %v", err)
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.Contains(out.String(), tt.hint) {
				t.Errorf("got\n%s\nwant %q, hint %q", out.String(), tt.want, tt.hint)
			}
		})
	}
}

// bomb is a document of a few lines that aliases blow up to 10^8 values.
func bomb() string {
	var b strings.Builder
	b.WriteString("env:\n  a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := range 7 {
		prev := "*a" + string(rune('0'+i))
		b.WriteString("  a" + string(rune('1'+i)) + ": &a" + string(rune('1'+i)) + " [" + strings.Repeat(prev+", ", 9) + prev + "]\n")
	}
	return b.String()
}

func includeBomb() map[string]string {
	files := map[string]string{"a.yml": head + "  includes: [0.yml, 0.yml]\n", "19.yml": head}
	for i := range 19 {
		next := strconv.Itoa(i+1) + ".yml"
		files[strconv.Itoa(i)+".yml"] = head + "  includes: [" + next + ", " + next + "]\n"
	}
	return files
}

// TestAllErrorsAtOnce: independent complaints of one file come together, in the order of their lines.
func TestAllErrorsAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "a.yml"), head+"task: 1\nfoo: 2\nrepos:\n  x: {urll: y}\n")
	_, err := Load(t.Context(), Options{Dir: dir, Files: "a.yml"})
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "a.yml:3:7:") || !strings.HasPrefix(lines[1], "a.yml:4:1:") || !strings.HasPrefix(lines[2], "a.yml:6:7:") {
		t.Errorf("got %q", lines)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(head + "repos:\n  a: {url: &x y, layers: {.: }}\n<<: *x\n"))
	f.Add([]byte("a: |\n  b\n- c\n"))
	f.Add([]byte(`{"header": {"version": 1}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if n, err := yaml.Parse("f.yml", data, nil); err == nil {
			_ = validate(n)
		}
		if n, err := yaml.ParseJSON("f.json", data, nil); err == nil {
			_ = validate(n)
		}
	})
}
