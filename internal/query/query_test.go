package query

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"n3x/internal/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

// files are a build folder with two layers: a core that brings its own small classes, and recipes.
var files = map[string]string{
	"build/conf/bblayers.conf": "BBPATH = \"${TOPDIR}\"\nBBFILES ?= \"\"\nBBLAYERS = \"${TOPDIR}/../core ${TOPDIR}/../own\"\n",
	"build/conf/local.conf":    "BBMULTICONFIG = \"other\"\nMACHINE ?= \"m\"\n",
	"core/conf/layer.conf":     "BBPATH .= \":${LAYERDIR}\"\nBBFILE_COLLECTIONS += \"core\"\nBBFILE_PATTERN_core = \"^${LAYERDIR}/\"\nBBFILE_PATTERN_IGNORE_EMPTY_core = \"1\"\nLAYERSERIES_CORENAMES = \"one\"\nLAYERSERIES_COMPAT_core = \"one\"\n",
	"core/conf/bitbake.conf": `PN = "${@bb.parse.vars_from_file(d.getVar('FILE', False),d)[0] or 'x'}"
PV = "${@bb.parse.vars_from_file(d.getVar('FILE', False),d)[1] or '1.0'}"
OVERRIDES = "${MACHINE}"
A = "a"
A:append:m = "${B}"
B = "b"
include conf/local.conf
include conf/multiconfig/${BB_CURRENT_MC}.conf
`,
	"core/classes/base.bbclass":         "addtask fetch\naddtask build after do_fetch\ndo_build[deptask] = \"do_build\"\ndo_fetch() {\n    :\n}\ndo_build() {\n    :\n}\n",
	"core/classes/native.bbclass":       "",
	"build/conf/multiconfig/other.conf": "MACHINE = \"o\"\n",
	"own/conf/layer.conf":               "BBPATH .= \":${LAYERDIR}\"\nBBFILES += \"${LAYERDIR}/*.bb ${LAYERDIR}/*.bbappend\"\nBBFILE_COLLECTIONS += \"own\"\nBBFILE_PATTERN_own = \"^${LAYERDIR}/\"\nBBFILE_PRIORITY_own = \"7\"\nLAYERSERIES_COMPAT_own = \"one\"\n",
	"own/hello_1.2.bb":                  "DEPENDS = \"lib\"\nPROVIDES = \"virtual/hello\"\nBBCLASSEXTEND = \"native\"\nLOOP = \"${POOL}\"\nPOOL = \"${LOOP}\"\n",
	"own/hello_%.bbappend":              "B = \"appended\"\nLIST = \"${@'x'}\"\nLIST[doc] = \"of ${B}\"\n",
	"own/lib_1.bb":                      "",
	"own/skipped_1.bb":                  "SEEN = \"1\"\npython() {\n    raise bb.parse.SkipRecipe('not today')\n}\n",
	"own/broken_1.bb":                   "X = \"1\"\nthis is no statement\n",
	"own/alone.conf":                    "Q = \"1\"\nQ:append = \"2\"\n",
}

func buildFolder(t *testing.T) (top, root string) {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(root, "build"), root
}

// serve answers the requests, with @ROOT@ in them and in the answers standing for the folder of the layers.
func serve(t *testing.T, requests ...string) []string {
	t.Helper()
	top, root := buildFolder(t)
	var out bytes.Buffer
	in := strings.ReplaceAll(strings.Join(requests, "\n"), "@ROOT@", root)
	if err := Serve(context.Background(), Options{TopDir: top, Env: map[string]string{"HOME": root}}, strings.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(out.String(), root+"/build/..", "@ROOT@")
	return strings.Split(strings.TrimSpace(strings.ReplaceAll(text, root, "@ROOT@")), "\n")
}

// TestAnswers has one request and its whole answer, or with "..." a part of it.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{`{"id":1,"op":"vars","of":{"config":true},"names":["A","NONE"]}`,
			`{"id":1,"ok":true,"vars":{"A":{"raw":"a${B}","value":"ab"},"NONE":{"raw":null,"value":null}}}`},
		{`{"id":"x","op":"vars","of":{"config":true,"mc":"other"},"names":["A"]}`, `{"id":"x","ok":true,"vars":{"A":{"raw":"a","value":"a"}}}`},
		{`{"op":"vars","of":{"recipe":"hello"},"names":["A","PV"]}`,
			`{"ok":true,"recipe":"@ROOT@/own/hello_1.2.bb","vars":{"A":{"raw":"a${B}","value":"aappended"},"PV":{"raw":"${@bb.parse.vars_from_file(d.getVar('FILE', False),d)[1] or '1.0'}","value":"1.2"}}}`},
		{`{"op":"vars","of":{"recipe":"virtual/hello"},"names":["PN"]}`, `..."value":"hello"...`},
		{`{"op":"vars","of":{"recipe":"hello-native"},"names":["PN"]}`, `{"ok":true,"recipe":"virtual:native:@ROOT@/own/hello_1.2.bb","vars":{"PN":{"raw":"hello-native","value":"hello-native"}}}`},
		{`{"op":"vars","of":{"recipe":"mc:other:hello"},"names":["A"]}`, `..."recipe":"mc:other:@ROOT@/own/hello_1.2.bb","vars":{"A":{"raw":"a","value":"a"}}...`},
		{`{"op":"vars","of":{"recipe":"hello"},"names":["LOOP"]}`, `..."LOOP":{"error":{"text":"...`},
		{`{"op":"vars","of":{"recipe":"hello"},"names":["LIST"],"flags":true,"history":true}`,
			`..."LIST":{"flags":{"doc":{"raw":"of ${B}","value":"of appended"}},"history":[{"op":"set","detail":"${@'x'}","file":"@ROOT@/own/hello_%.bbappend","line":2},{"op":"set","flag":"doc","detail":"of ${B}","file":"@ROOT@/own/hello_%.bbappend","line":3}],"raw":"${@'x'}","value":"x"}...`},
		{`{"op":"vars","of":{"recipe":"hello"},"names":["LIST[doc]"]}`, `..."LIST[doc]":{"raw":"of ${B}","value":"of appended"}...`},
		{`{"op":"vars","of":{"recipe":"skipped"},"names":["SEEN"]}`, `{"ok":true,"recipe":"@ROOT@/own/skipped_1.bb","skip":"not today","vars":{"SEEN":{"raw":"1","value":"1"}}}`},
		{`{"op":"vars","of":{"recipe":"broken"},"names":["X"]}`, `..."file":"@ROOT@/own/broken_1.bb","line":2...`},
		{`{"op":"vars","of":{"recipe":"helo"},"names":["X"]}`, `..."hint":"did you mean hello?"...`},
		{`{"op":"vars","of":{"file":"@ROOT@/own/alone.conf"}}`, `..."vars":{"BBPATH":{"raw":"@ROOT@/build","value":"@ROOT@/build"},...`},
		{`{"op":"vars","of":{"file":"@ROOT@/own/new.conf"},"buffers":{"@ROOT@/own/new.conf":"N = \"n\"\n"},"names":["N"]}`, `..."N":{"raw":"n","value":"n"}...`},
		{`{"op":"vars","of":{"recipe":"lib"},"buffers":{"@ROOT@/own/lib_1.bb":"N = \"typed\"\n"},"names":["N"]}`, `..."N":{"raw":"typed","value":"typed"}...`},
		{`{"op":"expand","of":{"recipe":"hello"},"text":"<${A}>"}`, `{"ok":true,"text":"<aappended>"}`},
		{`{"op":"overrides","of":{"config":true}}`, `{"ok":true,"overrides":["m"]}`},
		{`{"op":"tasks","of":{"recipe":"lib"}}`,
			`{"ok":true,"recipe":"@ROOT@/own/lib_1.bb","tasks":[{"after":[],"flags":{"depends":{"raw":"","value":""},"filename":{"raw":"@ROOT@/core/classes/base.bbclass","value":"@ROOT@/core/classes/base.bbclass"},"func":{"raw":"1","value":"1"},"lineno":{"raw":"4","value":"4"}},"name":"do_fetch"},...`},
		{`{"op":"graph","targets":["hello"]}`, `..."needs":["@ROOT@/own/hello_1.2.bb:do_fetch","@ROOT@/own/lib_1.bb:do_build"]...`},
		{`{"op":"graph","targets":["hello:do_fetch"],"inputs":true}`, `..."inputs":[{"digest":"...`},
		{`{"op":"graph","targets":["hello:do_fech"]}`, `..."hint":"did you mean do_fetch?"...`},
		{`{"op":"provider","target":"virtual/hello"}`, `..."pn":"hello"...`},
		{`{"op":"appends"}`, `{"appends":[{"file":"@ROOT@/own/hello_%.bbappend","recipe":"hello_%.bb"}],"ok":true}`},
		{`{"op":"layers"}`, `..."dir":"","name":"own","pattern":"^@ROOT@/own/","priority":7}...`},
		{`{"op":"recipes","mc":"other"}`, `..."skip":"not today"...`},
		{`{"op":"open"}`, `..."failures":[{"error":{"text":...,"multiconfigs":["","other"],...`},
		{`{"op":"environment","target":"hello"}`, `..."text":"#\n# INCLUDE HISTORY:\n#\n# @ROOT@/build/conf/bblayers.conf\n...`},
		// Refused, each with what to write instead.
		{`{"op":"varz"}`, `..."hint":"did you mean vars?"...`},
		{`{"op":"vars","names":["A"]}`, `...does not say what it is about...`},
		{`{"op":"vars","of":{"recipe":"hello","config":true}}`, `...names more than one thing...`},
		{`{"op":"vars","of":{"config":true,"mc":"othr"}}`, `..."hint":"did you mean other?"...`},
		{`{"op":"open","topdir":"/nowhere"}`, `..."ok":false...`},
		{`{"op":"open","clases":"native"}`, `...there is no field \"clases\"...`},
		{`[1]`, `...a request is an object, not a JSON array...`},
		{`{"op":7}`, `...the field \"op\" is a string, not a JSON number...`},
		{`{"op":"vars","names":"A"}`, `...the field \"names\" is a list, not a JSON string...`},
		{`{"op":"open"`, `...the line ends within a JSON value...`},
		{`{"op":"open"} {}`, `...more than one JSON value...`},
		{`nonsense`, `{"error":{"text":"read the request: ...`},
	} {
		got := serve(t, c[0])
		if len(got) != 1 || !matches(got[0], c[1]) {
			t.Errorf("%s\ngives %s\nwant  %s", c[0], strings.Join(got, "\n"), c[1])
		}
		if !json.Valid([]byte(got[0])) {
			t.Errorf("%s gives no JSON: %s", c[0], got[0])
		}
	}
}

// matches compares s with a pattern in which "..." stands for any text.
func matches(s, pattern string) bool {
	parts := strings.Split(pattern, "...")
	if len(parts) == 1 {
		return s == pattern
	}
	rest, ok := strings.CutPrefix(s, parts[0])
	if !ok || !strings.HasSuffix(s, parts[len(parts)-1]) {
		return false
	}
	for _, p := range parts[1:] {
		i := strings.Index(rest, p)
		if i < 0 {
			return false
		}
		rest = rest[i+len(p):]
	}
	return true
}

// Requests are answered in order, after wrong ones too, and a folder is read once unless it is to be read afresh.
func TestSeveral(t *testing.T) {
	t.Parallel()
	top, root := buildFolder(t)
	in, out := newPipe(), newPipe()
	done := make(chan error, 1)
	go func() {
		done <- Serve(context.Background(), Options{TopDir: top, Env: map[string]string{}}, in, out)
	}()
	ask := func(request string) string {
		in.write(request + "\n")
		return out.line(t)
	}
	const question = `{"id":1,"op":"vars","of":{"recipe":"lib"},"names":["N"]}`
	if got := ask(question); !strings.Contains(got, `"value":null`) {
		t.Error(got)
	}
	if err := os.WriteFile(filepath.Join(root, "own/lib_1.bb"), []byte("N = \"new\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := ask(strings.Repeat("x", maxLine+1)); !strings.Contains(got, "longer than 16 MiB") {
		t.Error(got)
	}
	if got := ask("?"); !strings.Contains(got, `"ok":false`) {
		t.Error(got)
	}
	if got := ask(question); !strings.Contains(got, `"value":null`) {
		t.Errorf("read again unasked: %s", got)
	}
	if got := ask(`{"id":1,"op":"vars","fresh":true,"of":{"recipe":"lib"},"names":["N"]}`); !strings.Contains(got, `"value":"new"`) {
		t.Error(got)
	}
	in.end()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
