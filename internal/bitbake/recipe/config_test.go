package recipe

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
)

// A file of -r is read before bblayers.conf, so that its plain assignments lose; one of -R is read last and wins.
func TestExtraConfiguration(t *testing.T) {
	t.Parallel()
	root := writeTree(t, with(map[string]string{
		"build/before.conf": "MACHINE = \"early\"\nEARLY = \"1\"\n",
		"build/after.conf":  "MACHINE = \"late\"\n",
	}))
	w, err := Load(context.Background(), Options{TopDir: filepath.Join(root, "build"), Prefiles: []string{"before.conf"},
		Postfiles: []string{filepath.Join(root, "build/after.conf")}, ConfigOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"MACHINE": "late", "EARLY": "1"} {
		if got, err := w.Base("").Value(name); got != want || err != nil {
			t.Errorf("%s = %q, %v; want %q", name, got, err, want)
		}
	}
	if n := len(w.Recipes("")); n != 0 {
		t.Errorf("%d recipes were read although only the configuration was asked for", n)
	}
	if l := w.Layers(); len(l) != 1 || l[0].Name != "core" {
		t.Errorf("layers are %v, want core", l)
	}
	_, err = Load(context.Background(), Options{TopDir: filepath.Join(root, "build"), Prefiles: []string{"absent.conf"}})
	if err == nil || !strings.Contains(err.Error(), "absent.conf") {
		t.Errorf("a missing file gives %v, which does not name it", err)
	}
}

// What `bitbake -e` shows is the configuration after the anonymous functions of global classes; recipes start from before.
func TestGlobalEnvironment(t *testing.T) {
	t.Parallel()
	w, _, err := loadTree(t, with(map[string]string{
		"core/classes/base.bbclass": "addtask build\nNAME_${MACHINE} = \"1\"\npython() {\n    d.setVar('SEEN', d.getVar('NAME_m') or 'no')\n}\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	d, err := w.Environment("")
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := d.Value("SEEN"); got != "1" {
		t.Errorf("SEEN is %q after the anonymous function, want 1", got)
	}
	if _, ok, _ := w.Base("").Var("SEEN", true); ok {
		t.Error("the configuration itself has changed")
	}
	if _, err := w.Environment("nope"); err == nil {
		t.Error("an unknown multiconfig is accepted")
	}
}

// The format is that of bitbake -e: names as they were asked for, missing optional files, and two blanks a level.
func TestIncludeHistory(t *testing.T) {
	t.Parallel()
	w, root, err := loadTree(t, with(map[string]string{
		"core/conf/bitbake.conf":    "PV ?= \"1\"\ninclude conf/absent.conf\nrequire conf/local.conf\n",
		"core/classes/base.bbclass": "inherit deeper\naddtask build\n", "core/classes/deeper.bbclass": "",
	}))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := w.WriteIncludes(&b); err != nil {
		t.Fatal(err)
	}
	build := filepath.Join(root, "build")
	want := "#\n# INCLUDE HISTORY:\n#\n# " + build + "/conf/bblayers.conf\n# " + build + "/../core/conf/layer.conf\n# conf/bitbake.conf includes:\n" +
		"#   conf/absent.conf\n#   " + build + "/conf/local.conf\n# " + build + "/../core/classes/base.bbclass includes:\n#   " + build + "/../core/classes/deeper.bbclass\n"
	if b.String() != want {
		t.Errorf("include history is\n%s\nwant\n%s", &b, want)
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	w, root, _ := loadTree(t, with(map[string]string{
		"core/ab_1.bb": "PN = \"ab\"\nBBCLASSEXTEND = \"native\"\n", "core/classes/native.bbclass": "", "core/bad_1.bb": "PN = bad\n",
	}))
	for file, want := range map[string]string{
		root + "/core/a_1.bb": "a", "../core/a_1.bb": "a", "ab_1": "ab", "virtual:native:" + root + "/core/ab_1.bb": "ab-native", "virtual:native:ab": "ab-native",
	} {
		r, err := w.Match(file, root+"/build")
		if err != nil || r.PN != want {
			t.Errorf("%s: %v, %v; want %s", file, r, err, want)
		}
	}
	for file, says := range map[string]string{
		"_1.bb": "2 recipe files match", "nope": "no recipe file", root + "/core/bad_1.bb": "bad_1.bb:1", "mc:x:a_1.bb": "no multiconfig",
	} {
		if _, err := w.Match(file, root); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error is %v, want one that says %q", file, err, says)
		}
	}
}
