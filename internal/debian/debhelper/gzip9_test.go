package debhelper

import (
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"fmt"
	"io"
	"testing"
)

// text is n bytes that repeat themselves with some variation, the same everywhere.
func text(n, alphabet int) []byte {
	out := make([]byte, 0, n+64)
	seed := uint32(12345)
	for len(out) < n {
		seed = seed*1664525 + 1013904223
		if at := int(seed>>8) % (len(out) + 1); seed>>28 < 9 && len(out) > 0 {
			out = append(out, out[at:min(len(out), at+int(seed>>4)%40)]...)
		} else {
			out = append(out, byte('a'+int(seed>>16)%alphabet))
		}
	}
	return out[:n]
}

// TestGzip9 holds the sums of what `gzip -9n` (1.12 of bookworm, 1.13 of trixie give the same) makes of text(n, alphabet).
func TestGzip9(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n, alphabet int
		want        string
	}{
		{0, 1, "20 4a4dd3598707603b3f76a2378a4504aa"},
		{1, 1, "21 4e91fbbbbb34f99becbca2e7d3c184a4"},
		{5, 2, "23 72a12d2763b4b31041f55b4bf9f3debc"},
		{150, 26, "56 0163aa9518224cd99b64c3d7e3682c81"},
		{4096, 1, "40 0e47d52ef916ecd60c426624ecaef8c8"},
		{5000, 26, "704 92b38371105f112acf3495aafbf0180a"},
		{33000, 3, "4047 f6bbd24fe65db206514da730847f91cc"},
		{65274, 120, "11483 020cd023546b5bc9d8069fd305d40b3e"},
		{65536, 26, "10676 0ee01058df5614cac723112c4cd62779"},
		{70000, 150, "12682 c7923fd2b69899dd2b3a2279e66a4293"},
		{200000, 10, "41263 d881e27f25a98391e0ae40d74992c82e"},
		{400000, 150, "123065 57b4f783de005d6978dc2b4d50655c83"},
	} {
		data := text(c.n, c.alphabet)
		z := gzip9(data)
		if got := fmt.Sprintf("%d %x", len(z), md5.Sum(z)); got != c.want {
			t.Errorf("%d bytes of %d letters: %s, want %s", c.n, c.alphabet, got, c.want)
		}
		r, err := gzip.NewReader(bytes.NewReader(z))
		if err != nil {
			t.Fatal(err)
		}
		if back, err := io.ReadAll(r); err != nil || !bytes.Equal(back, data) {
			t.Errorf("%d bytes of %d letters do not come back: %v", c.n, c.alphabet, err)
		}
	}
}
