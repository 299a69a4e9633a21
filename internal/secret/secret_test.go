package secret

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
)

func write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	return file
}

func places(files ...string) (out []Identity) {
	for _, f := range files {
		out = append(out, Identity{File: f})
	}
	return out
}

func identity(t *testing.T) (*age.X25519Identity, string) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id, write(t, "keys.txt", "# a comment\n"+id.String()+"\n", 0o600)
}

func seal(t *testing.T, text string, armored bool, to age.Recipient) string {
	t.Helper()
	var b bytes.Buffer
	out := struct{ write, end func() error }{}
	w, err := age.Encrypt(&b, to)
	var a interface {
		Write([]byte) (int, error)
		Close() error
	}
	if armored {
		b.Reset()
		a = armor.NewWriter(&b)
		w, err = age.Encrypt(a, to)
		out.end = a.Close
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if out.end != nil {
		if err := out.end(); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func TestPlain(t *testing.T) {
	t.Parallel()
	got, err := Read(write(t, "token", "abc\n", 0o600), Options{})
	if err != nil || string(got) != "abc" {
		t.Errorf("%q, %v", got, err)
	}
	for _, c := range []struct {
		text string
		mode os.FileMode
		want string
	}{
		{"abc", 0o644, "the secret can be read by others than its owner (mode 0644)"},
		{"abc", 0o640, "(mode 0640)"},
		{"\n", 0o600, "the secret is empty"},
		{"a\nb\n", 0o600, "the secret has 2 lines, not one"},
		{strings.Repeat("x", maxSize+1), 0o600, "so it is no secret"},
	} {
		file := write(t, "token", c.text, c.mode)
		if _, err := Read(file, Options{}); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "abc") {
			t.Errorf("%q, %o: %v, want %s", c.text[:min(len(c.text), 9)], c.mode, err, c.want)
		}
	}
	if _, err := Read(t.TempDir()+"/none", Options{}); err == nil || !strings.Contains(err.Error(), "there is no secret") {
		t.Error(err)
	}
	if _, err := Read(t.TempDir(), Options{}); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Error(err)
	}
}

func TestAge(t *testing.T) {
	t.Parallel()
	id, keys := identity(t)
	_, others := identity(t)
	for _, armored := range []bool{false, true} {
		file := write(t, "token.age", seal(t, "geheim\n", armored, id.Recipient()), 0o644) // for everybody's eyes
		got, err := Read(file, Options{Identities: places("/nonexistent", others, keys)})
		if err != nil || string(got) != "geheim" {
			t.Errorf("armored %t: %q, %v", armored, got, err)
		}
		for _, identities := range [][]string{nil, {"/nonexistent"}, {others}} {
			if _, err := Read(file, Options{Identities: places(identities...)}); err == nil || !strings.Contains(err.Error(), "none of your keys decrypts the secret") {
				t.Errorf("%v: %v", identities, err)
			}
		}
		text, _ := os.ReadFile(file)
		broken := write(t, "broken.age", string(text[:len(text)-5]), 0o644)
		if _, err := Read(broken, Options{Identities: places(keys)}); err == nil || strings.Contains(err.Error(), "geheim") {
			t.Errorf("a file that was cut off: %v", err)
		}
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	s := &Store{Dir: filepath.Join(t.TempDir(), "a/b")}
	one, err := s.Key()
	two, err2 := s.Key()
	if err != nil || err2 != nil || len(one) != 32 || !bytes.Equal(one, two) {
		t.Fatalf("%x, %v; %x, %v", one, err, two, err2)
	}
	file := s.Token("c1")
	if err := s.WriteToken(file); err != nil {
		t.Fatal(err)
	}
	token, err := s.Read(file)
	if err != nil || len(token) != 43 {
		t.Errorf("%q, %v", token, err)
	}
	for path := file; path != s.Dir; path = filepath.Dir(path) {
		if st, err := os.Stat(path); err != nil || st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", path, st, err)
		}
	}
	if err := s.WriteToken(file); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("a token was replaced: %v", err)
	}
}
