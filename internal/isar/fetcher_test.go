package isar

import "testing"

func TestUnpackLimit(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int64{"": 0, "100": 100, "3K": 3 << 10, "20G": 20 << 30, "1 TiB": 1 << 40, "2gb": 2 << 30} {
		if got, err := unpackLimit(s); err != nil || got != want {
			t.Errorf("%q is read as %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"x", "-1", "0", "1.5G", "9999999T", "G", "1KM"} {
		if got, err := unpackLimit(s); err == nil {
			t.Errorf("%q is read as %d", s, got)
		}
	}
}
