package recipe

import (
	"bytes"
	"strings"
	"testing"

	"n3x/internal/diag"
)

// TestNearMisses holds what is said about names that nothing has; only slips of a name that something has are worth a word.
func TestNearMisses(t *testing.T) {
	w, root, err := loadTree(t, with(map[string]string{
		"build/conf/local.conf": "PREFERRED_PROVIDER_virtual/aa = \"a\"\nPREFERRED_VERSION_aaa = \"1\"\nPREFERRED_VERSION_linux-b0ard = \"1\"\n" +
			"PREFERRED_VERSION_something-else = \"1\"\nPREFERRED_VERSION_linux-board2 = \"1\"\nPREFERRED_RPROVIDER_agnet = \"x\"\n",
		"core/linux-board_1.bb": "PN = \"linux-board\"\nRPROVIDES = \"agent\"\n",
		"core/b_1.bb": "PN = \"b\"\naddtask prepare\naddtask one after do_prepaer before do_biuld\n" +
			"addtask two after do_elsewhere do_one\ndeltask do_tow\ndeltask do_unheard_of\ndo_one[depend] = \"a:do_build\"\n" +
			"do_one[nostmap] = \"1\"\ndo_one[mine] = \"1\"\nPACKAGECONFIG[depend] = \"1\"\naddtask image_ext4\naddtask three after do_image_ext3 do_${X}\n",
		"core/c_1.bb": "PN = \"c\"\naddtask tow\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, warning := range w.Warnings() {
		if s := strings.ReplaceAll(warning.String(), root+"/build/", ""); strings.Contains(s, "did you mean") {
			got = append(got, s)
		}
	}
	want := []string{
		"../core/b_1.bb:3: no recipe has a task do_biuld; did you mean do_build?",
		"../core/b_1.bb:3: no recipe has a task do_prepaer; did you mean do_prepare?",
		"../core/b_1.bb:7: do_one[depend] means nothing to BitBake; did you mean do_one[depends]?",
		"../core/b_1.bb:8: do_one[nostmap] means nothing to BitBake; did you mean do_one[nostamp]?",
		"conf/local.conf:1: no recipe provides virtual/aa, which PREFERRED_PROVIDER_virtual/aa is about; did you mean PREFERRED_PROVIDER_virtual/a?",
		"conf/local.conf:3: no recipe provides linux-b0ard, which PREFERRED_VERSION_linux-b0ard is about; did you mean PREFERRED_VERSION_linux-board?",
		"conf/local.conf:6: no recipe provides agnet, which PREFERRED_RPROVIDER_agnet is about; did you mean PREFERRED_RPROVIDER_agent?",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestErrorShowsTheLine holds that a person sees the line that is wrong.
func TestErrorShowsTheLine(t *testing.T) {
	_, _, err := loadTree(t, with(map[string]string{"core/b_1.bb": "PN = \"b\"\nrequire recipes/nope.inc\n"}))
	var b bytes.Buffer
	diag.Render(&b, "n3x", err)
	if !strings.Contains(b.String(), "b_1.bb:2: ") || !strings.Contains(b.String(), "\n    line: require recipes/nope.inc\n") {
		t.Error(b.String())
	}
}
