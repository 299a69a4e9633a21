package repo

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// verified checks both signatures of a repository against the public keys of a ring.
func verified(t *testing.T, r *Repository, ring Keyring) {
	t.Helper()
	config := &packet.Config{Time: func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }}
	block, rest := clearsign.Decode([]byte(r.text(t, "InRelease")))
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		t.Fatal("InRelease is not clear-signed")
	}
	if string(block.Plaintext) != r.text(t, "Release") {
		t.Error("InRelease and Release differ")
	}
	if _, err := block.VerifySignature(openpgp.EntityList(ring), config); err != nil {
		t.Errorf("InRelease: %v", err)
	}
	signed := strings.NewReader(r.text(t, "Release"))
	if _, err := openpgp.CheckArmoredDetachedSignature(openpgp.EntityList(ring), signed, strings.NewReader(r.text(t, "Release.gpg")), config); err != nil {
		t.Errorf("Release.gpg: %v", err)
	}
}

func TestSigning(t *testing.T) {
	t.Parallel()
	const home = "testdata/gnupg/home"
	public, err := publicKeys(home)
	if err != nil || len(public) != 4 {
		t.Fatalf("the keybox has %d keys: %v", len(public), err)
	}
	for _, id := range []string{"rsa@example.org", "ed@example.org", "sub@example.org", "0x9112E7238DE4E57643CE4B480000E64EB2A7CE82", "87C48DB7051E768E", "default"} {
		keys, err := NamedKeys([]string{id}, home)
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		r := newRepo(t, Options{Keys: keys}) // the Release file is of 1970, before the keys
		change(t, r, func(*Change) error { return nil })
		verified(t, r, public)
		change(t, r, func(c *Change) error { return addDeb(c, makeDeb(t, "foo", "1.0", "all", "a"), "") })
		verified(t, r, public)
	}
}

func TestKeysOfFiles(t *testing.T) {
	t.Parallel()
	for _, k := range []struct{ file, home string }{{"ed-secret.asc", ""}, {"rsa-public.asc", "home"}, {"rsa-public.asc", "imported"}} {
		home := ""
		if k.home != "" {
			home = filepath.Join("testdata/gnupg", k.home)
		}
		keys, err := FileKeys(filepath.Join("testdata/gnupg", k.file), home)
		if err != nil {
			t.Errorf("%s with %q: %v", k.file, k.home, err)
			continue
		}
		r := newRepo(t, Options{Keys: keys})
		change(t, r, func(*Change) error { return nil })
		verified(t, r, keys)
		data, err := keys.Public()
		if err != nil || bytes.Contains(data, []byte("private")) {
			t.Error(err)
		}
		if only, err := parseKeys(data); err != nil || only[0].PrivateKey != nil {
			t.Errorf("the public part holds the private one, or nothing: %v", err)
		}
		// Without keys the signatures go again.
		plain, err := New(Options{Dir: r.o.Dir, DB: r.o.DB, Codename: "isar"})
		if err != nil {
			t.Fatal(err)
		}
		change(t, plain, func(*Change) error { return nil })
		if _, err := os.Stat(filepath.Join(r.dist(), "InRelease")); err == nil {
			t.Error("InRelease is still there")
		}
	}
}

func TestKeysThatCannotSign(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]func() (Keyring, error){
		"passphrase":           func() (Keyring, error) { return NamedKeys([]string{"secret@example.org"}, "testdata/gnupg/home") },
		"no key \"nobody\"":    func() (Keyring, error) { return NamedKeys([]string{"nobody"}, "testdata/gnupg/home") },
		"no folder of GnuPG":   func() (Keyring, error) { return NamedKeys([]string{"yes"}, "") },
		"private part of key":  func() (Keyring, error) { return FileKeys("testdata/gnupg/rsa-public.asc", "") },
		"holds no OpenPGP key": func() (Keyring, error) { return FileKeys("testdata/gnupg/README", "") },
		"private part":         func() (Keyring, error) { return FileKeys("testdata/gnupg/rsa-public.asc", t.TempDir()) },
	} {
		if k, err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, %v; want an error with %q", k, err, want)
		}
	}
}

func FuzzSecretKeys(f *testing.F) {
	for _, pattern := range []string{"testdata/gnupg/home/private-keys-v1.d/*", "testdata/gnupg/imported/private-keys-v1.d/*", "testdata/gnupg/home/pubring.kbx"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatal(pattern)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	public, err := publicKeys("testdata/gnupg/home")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(_ *testing.T, data []byte) {
		keybox(data) //nolint:errcheck // it must not panic
		for _, e := range public {
			attach(e, data) //nolint:errcheck // as above
		}
	})
}
