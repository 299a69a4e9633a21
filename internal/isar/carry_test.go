package isar

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCarryBetweenParts runs the text that joins two parts with a real shell.
func TestCarryBetweenParts(t *testing.T) {
	t.Parallel()
	k := &carry{file: filepath.Join(t.TempDir(), "it's")}
	first := "f() {\nlocal here\nhere='a b'\nexport E=\"x'y\nz\"\ncd /usr\n" + k.save() + "}\nf\n"
	second := "f() {\n" + k.load() + "printf '%s|%s|%s' \"$here\" \"$(pwd)\" \"$(printenv E)\"\n}\nf\n"
	for _, text := range []string{first, second} {
		out, err := exec.CommandContext(context.Background(), "sh", "-ec", text).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if text == second && string(out) != "a b|/usr|x'y\nz" {
			t.Errorf("the second part sees %q", out)
		}
	}
	c := &Call{carry: k}
	k.exported = map[string]string{"B": "2", "A": "1"}
	if got := strings.Join(c.Exported(), " "); got != "A=1 B=2" {
		t.Errorf("exported are %s", got)
	}
}
