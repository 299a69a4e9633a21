package secret

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestVectors reads what the real sops and age wrote.
func TestVectors(t *testing.T) {
	t.Parallel()
	o := Options{Identities: places("testdata/other.txt", "testdata/keys.txt", "testdata/ssh-key")}
	for _, c := range []struct{ file, key, want string }{
		{"all.yaml", "", "tok-top"},
		{"all.yaml", "token", "tok-top"},
		{"all.yaml", "k3s.server-token", "tok-server-ü: 1"},
		{"all.yaml", "k3s/server-token", "tok-server-ü: 1"},
		{"all.yaml", "k3s.list.1", "second"},
		{"all.yaml", "number", "15"},
		{"all.yaml", "flag", "True"},
		{"two.yaml", "k3s.agent-token", "tok-agent"},
		{"maconly.yaml", "", "tok-top"},
		{"regex.yaml", "k3s.server-token", "tok-server-ü: 1"},
		{"all.json", "k3s.token", "tok-json"},
		{"all.json", "k3s.f", "1.25"},
		{"all.env", "", "tok-env"},
		{"all.env", "OTHER", "a=b"},
		{"all.ini", "k3s.token", "tok-ini"},
		{"all.ini", "DEFAULT.top", "tok-default"},
		{"all.bin", "", "tok-binary"},
		{"one.yaml", "", "tok-only"},
		{"token.age", "", "tok-age"},
		{"token.armor", "", "tok-age"},
		{"token.ssh", "", "tok-age"},
	} {
		o.Key = c.key
		if got, err := Read("testdata/"+c.file, o); err != nil || string(got) != c.want {
			t.Errorf("%s#%s: %q, %v", c.file, c.key, got, err)
		}
	}
}

// TestRefused looks at files that are no good, and for nothing secret in what is said about them.
func TestRefused(t *testing.T) {
	t.Parallel()
	mine, others := places("testdata/keys.txt"), places("testdata/other.txt")
	changed := func(file, from, to string) string {
		text, err := os.ReadFile("testdata/" + file)
		if err != nil || !strings.Contains(string(text), from) {
			t.Fatalf("%s has no %q: %v", file, from, err)
		}
		return write(t, file, strings.Replace(string(text), from, to, 1), 0o644)
	}
	for _, c := range []struct {
		file string
		o    Options
		want string
	}{
		{"testdata/all.yaml", Options{Identities: others}, "none of your keys decrypts the secret"},
		{"testdata/all.yaml", Options{}, "none of your keys decrypts the secret"},
		{"testdata/all.yaml", Options{Identities: []Identity{{File: "/nonexistent/keys", From: "SOPS_AGE_KEY_FILE"}}}, "SOPS_AGE_KEY_FILE names the file /nonexistent/keys, which does not exist"},
		{"testdata/all.yaml", Options{Identities: []Identity{{Text: "nonsense", From: "SOPS_AGE_KEY"}}}, "SOPS_AGE_KEY: not a file of age identities"},
		{"testdata/all.yaml", Options{Identities: mine, Key: "k3s"}, "the file has no value k3s"},
		{"testdata/all.yaml", Options{Identities: mine, Key: "multi"}, "the secret has 2 lines, not one"},
		{"testdata/all.yaml", Options{Identities: mine, Key: "empty"}, "the secret is empty"},
		{"testdata/all.yaml", Options{Identities: mine, Key: "port_unencrypted"}, "the value port_unencrypted is not encrypted"},
		{"testdata/all.json", Options{Identities: mine}, "the file has several values, none of them called token"},
		{"testdata/token.age", Options{Identities: mine, Key: "x"}, "not encrypted with sops, so it has no value x"},
		{changed("all.yaml", "port_unencrypted: 6443", "port_unencrypted: 6444"), Options{Identities: mine}, "changed after sops had written it"},
		{changed("all.yaml", "name_unencrypted: a name\n", ""), Options{Identities: mine}, "changed after sops had written it"},
		{changed("all.env", "PORT_unencrypted=6443", "PORT_unencrypted=1"), Options{Identities: mine}, "changed after sops had written it"},
		{changed("all.json", `"token": "ENC[`, `"renamed": "ENC[`), Options{Identities: mine, Key: "k3s.n"}, "k3s.renamed: cipher: message authentication failed"},
		{changed("one.yaml", "age:", "gone:"), Options{Identities: mine}, "encrypted for no age recipient"},
		{changed("one.yaml", "sops:", "sops: []\nx:"), Options{Identities: mine}, "sops' own part is no mapping"},
		{write(t, "plain.yaml", "token: a\n", 0o600), Options{Key: "token"}, "not encrypted with sops, so it has no value token"},
		{write(t, "nul", "to\x00ken", 0o600), Options{}, "bytes that are no text"},
		{write(t, "latin", "tok\xfcn", 0o600), Options{}, "bytes that are no text"},
		{write(t, "spaces", " \t\n", 0o600), Options{}, "the secret is empty"},
	} {
		_, err := Read(c.file, c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s#%s: %v, want %s", c.file, c.o.Key, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "tok-") {
			t.Errorf("%s: the error quotes the secret: %v", c.file, err)
		}
	}
	if _, err := Read("testdata/all.yaml", Options{Identities: places(write(t, "p", "x", 0o600), "testdata/keys.txt")}); err == nil {
		t.Error("a file of nonsense was taken for keys")
	}
}

// TestNoWaiting opens what is no file: a pipe must not make a build hang.
func TestNoWaiting(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	go func() {
		_, err := Read(pipe, Options{})
		done <- err
		_, err = Read("testdata/token.age", Options{Identities: places(pipe)})
		done <- err
	}()
	for range 2 {
		select {
		case err := <-done:
			if err == nil || !strings.Contains(err.Error(), "no regular file, but a pipe") {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("it waits for the pipe")
		}
	}
}
