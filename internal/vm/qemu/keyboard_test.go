package qemu

import (
	"strings"
	"testing"
)

func TestChord(t *testing.T) {
	t.Parallel()
	for c, want := range map[rune]string{'a': "a", 'Z': "shift z", '7': "7", '&': "shift 7", ' ': "spc", '\n': "ret", '~': "shift grave_accent", '|': "shift backslash", '"': "shift apostrophe", '?': "shift slash", '_': "shift minus", 'ü': "", '\x00': ""} {
		keys, ok := chord(c)
		if got := strings.Join(keys, " "); ok != (want != "") || got != want {
			t.Errorf("%q is %q, %t", c, got, ok)
		}
	}
}
