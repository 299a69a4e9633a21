package vmtest

import (
	"bytes"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"n3x/internal/diag"
)

func results(t *testing.T) []*Result {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"one.console": "Debian\x1b[0m <login>\x00", "one-failed.png": "picture", "one-eth1.pcap": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	suite := &Suite{Name: "bond", Description: "it fails over", Pos: diag.Pos{File: "bond.yaml", Line: 1}}
	start := time.Unix(1e9, 0)
	broken := diag.Failedf(diag.Pos{File: "bond.yaml", Line: 9}, "server-1: no answer").WithNote("its console ends with\nlogin: \x01")
	failing := []Case{{Name: "up", Took: time.Second}, {Name: "pings", Err: broken, Output: "1 < 2 & 3\x02\n", Took: time.Second}, {Name: "after", Skipped: "a step before it failed"}}
	return []*Result{
		{Suite: suite, Start: start, Took: 4 * time.Second, Cases: failing, Dir: dir, Events: []Event{{At: start.Add(time.Second), Kind: "step", Text: "pings", Took: 2 * time.Second, Failed: true}}},
		{Suite: suite, Twin: &Twin{Name: "no cable", Fails: "pings"}, Start: start, Cases: failing},
		{Suite: suite, Twin: &Twin{Name: "another cable", Fails: "up"}, Start: start, Cases: failing},
		{Suite: suite, Twin: &Twin{Name: "all well", Fails: "up"}, Start: start, Cases: failing[:1]},
		{Suite: suite, Start: start, Skipped: "K3s 1.35.0 is not in DL_DIR"},
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	all := results(t)
	for i, want := range []string{"", "", `step "up" had to fail, but "pings" did`, `nothing failed although all well: step "up" cannot fail`, ""} {
		all[i].judge()
		got := ""
		if all[i].Err != nil {
			got = all[i].Err.Error()
		}
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", all[i].Name(), got, want)
		}
	}
	if !all[0].Failed() || all[1].Failed() || !all[2].Failed() || !all[3].Failed() || all[4].Failed() {
		t.Error("wrong verdicts")
	}
}

func TestJUnit(t *testing.T) {
	t.Parallel()
	all := results(t)
	for _, r := range all {
		r.judge()
	}
	var b bytes.Buffer
	if err := WriteJUnit(&b, all); err != nil {
		t.Fatal(err)
	}
	var got junitFile
	if err := xml.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	if got.Tests != 7 || got.Failures != 1 || got.Errors != 2 || got.Skipped != 2 || len(got.Suites) != 5 {
		t.Errorf("%d tests, %d failures, %d errors, %d skipped, %d suites", got.Tests, got.Failures, got.Errors, got.Skipped, len(got.Suites))
	}
	c := got.Suites[0].Cases[1]
	if c.Failure == nil || !strings.Contains(c.Failure.Message, "bond.yaml:9: server-1: no answer") || !strings.Contains(c.Failure.Text, "its console ends with") || c.SystemOut != "1 < 2 & 3" {
		t.Errorf("%+v", c)
	}
}

func TestHTML(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := WriteHTML(&b, results(t)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1 failed", "1 skipped", "server-1: no answer", "1 &lt; 2 &amp; 3", "Debian[0m &lt;login&gt;", "data:image/png;base64,cGljdHVyZQ==", "one-eth1.pcap", "left:calc(250% / 10)"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if strings.Contains(b.String(), "ZgotmplZ") {
		t.Error("the template refuses a value")
	}
	if err := WriteHTML(&b, []*Result{{Suite: &Suite{}, Dir: filepath.Join(t.TempDir(), "none")}}); err != nil { // it has ended before there was anything to keep
		t.Error(err)
	}
}
