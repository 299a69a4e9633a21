package isar

import (
	"os"
	"path/filepath"
	"testing"
)

// TestAdjustCheckout: alternates become relative, by way of the link; also those of submodules. As ISAR's do_adjust_git
// writes them: "../../../../../.git-downloads/NAME/objects" for WORKDIR/git.
func TestAdjustCheckout(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	clones, link := filepath.Join(top, "dl/git"), filepath.Join(top, "work/d-a/.git-downloads")
	dest := filepath.Join(top, "work/d-a/pn/1-r0/git")
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write(clones+"/h.x/objects/pack", "")
	write(dest+"/.git/objects/info/alternates", clones+"/h.x/objects\n/elsewhere/objects\n")
	write(dest+"/.git/modules/m/objects/info/alternates", clones+"/h.m/objects\n")
	write(dest+"/info/alternates", clones+"/file of the sources\n")
	if err := os.Symlink(clones, link); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time, nothing is left to do
		if err := adjustCheckout(dest, clones, link); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"/.git/objects/info/alternates":           "../../../../../.git-downloads/h.x/objects\n/elsewhere/objects\n",
		"/.git/modules/m/objects/info/alternates": "../../../../../../../.git-downloads/h.m/objects\n",
		"/info/alternates":                        clones + "/file of the sources\n",
	} {
		if got, err := os.ReadFile(dest + path); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", path, got, err, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dest, ".git/objects", "../../../../../.git-downloads/h.x/objects/pack")); err != nil {
		t.Error(err)
	}
	if err := adjustCheckout(filepath.Join(top, "none"), clones, link); err != nil {
		t.Errorf("no checkout: %v", err)
	}
}
