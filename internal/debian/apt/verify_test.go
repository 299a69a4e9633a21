package apt

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

// The files were made by gpg 2.2.40: gpg --digest-algo SHA1 (SHA512) --detach-sign weak.txt; gpg --export.
func TestVerifyDigest(t *testing.T) {
	t.Parallel()
	read := func(name string) []byte {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	entities, err := parseKeyring(read("weak.key.gpg"))
	if err != nil {
		t.Fatal(err)
	}
	ring := keyring{entities: entities}
	text, weak, strong := read("weak.txt"), read("weak.txt.sha1.gpg"), read("weak.txt.sha512.gpg")
	at := time.Date(2025, 11, 16, 0, 0, 0, 0, time.UTC)
	if err := ring.verify(text, bytes.NewReader(strong), at); err != nil {
		t.Errorf("SHA-512: %v", rendered(err))
	}
	wantError(t, "SHA-1", ring.verify(text, bytes.NewReader(weak), at), "no valid signature; it uses the weak hash SHA-1")
	if err := ring.verify(text, bytes.NewReader(append(weak, strong...)), at); err != nil {
		t.Errorf("both: %v", rendered(err))
	}
	wantError(t, "no signature", ring.verify(text, strings.NewReader(""), at), "it holds no signature")
	wantError(t, "garbage", ring.verify(text, strings.NewReader("\x89garbage"), at), "signature")
}

func TestDebianKeyrings(t *testing.T) {
	t.Parallel()
	names := DebianKeyrings()
	if len(names) < 10 {
		t.Errorf("only %q", names)
	}
	for _, name := range names {
		data, ok := DebianKeyring("/usr/share/keyrings/" + strings.TrimSuffix(name, ".gpg") + ".pgp")
		if !ok {
			t.Errorf("%s: not found", name)
		}
		if el, err := parseKeyring(data); err != nil || len(el) == 0 {
			t.Errorf("%s: %d keys, %v", name, len(el), err)
		}
	}
	if _, ok := DebianKeyring("none.gpg"); ok {
		t.Error("found a keyring that is not there")
	}
	all, _ := DebianKeyring("debian-archive-keyring.gpg")
	if el, err := parseKeyring(append(armored(t, all), armored(t, all)...)); err != nil || len(el) < 18 {
		t.Errorf("two armored blocks: %d keys, %v", len(el), err)
	}
	if _, err := parseKeyring([]byte("-----BEGIN PGP MESSAGE-----\n\n=twTO\n-----END PGP MESSAGE-----\n")); err == nil {
		t.Error("a message is taken for a key")
	}
}
