package repo

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"n3x/internal/diag"
)

// Keyring are the keys that sign a repository.
type Keyring []*openpgp.Entity

// Identities name the keys, e.g. "30E7917B72A9E2A59BB2D336F92C1D24697891CB".
func (k Keyring) Identities() []string {
	var out []string
	for _, e := range k {
		out = append(out, strings.ToUpper(hex.EncodeToString(e.PrimaryKey.Fingerprint)))
	}
	return out
}

// Public is the public part of the keys, as apt's keyrings hold them.
func (k Keyring) Public() ([]byte, error) {
	var b bytes.Buffer
	for _, e := range k {
		if err := e.Serialize(&b); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

// sign gives a clear-signed copy of text (InRelease) and its detached signature (Release.gpg).
func (k Keyring) sign(text []byte, date time.Time) (inline, detached []byte, err error) {
	var keys []*packet.PrivateKey
	for _, e := range k {
		at := date
		if at.Before(e.PrimaryKey.CreationTime) {
			at = e.PrimaryKey.CreationTime
		}
		key, err := signingKey(e, at)
		if err != nil {
			return nil, nil, err
		}
		keys = append(keys, key)
		if date.Before(key.CreationTime) {
			date = key.CreationTime // a signature older than its key is none
		}
	}
	config := &packet.Config{DefaultHash: crypto.SHA512, Time: func() time.Time { return date },
		NonDeterministicSignaturesViaNotation: packet.BoolPointer(false)}
	var a, b bytes.Buffer
	w, err := clearsign.EncodeMulti(&a, keys, config)
	if err != nil {
		return nil, nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, nil, err
	}
	if err := w.Close(); err != nil {
		return nil, nil, err
	}
	a.WriteByte('\n')
	z, err := armor.Encode(&b, openpgp.SignatureType, nil)
	if err != nil {
		return nil, nil, err
	}
	for _, key := range keys {
		sig := &packet.Signature{Version: key.Version, SigType: packet.SigTypeBinary, PubKeyAlgo: key.PubKeyAlgo, Hash: crypto.SHA512,
			CreationTime: date, IssuerKeyId: &key.KeyId, IssuerFingerprint: key.Fingerprint}
		h := crypto.SHA512.New()
		h.Write(text)
		if err := sig.Sign(h, key, config); err != nil {
			return nil, nil, err
		}
		if err := sig.Serialize(z); err != nil {
			return nil, nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, nil, err
	}
	b.WriteByte('\n')
	return a.Bytes(), b.Bytes(), nil
}

// signingKey is the key of e, or the subkey, that signs.
func signingKey(e *openpgp.Entity, at time.Time) (*packet.PrivateKey, error) {
	key, ok := e.SigningKey(at)
	switch {
	case !ok:
		return nil, diag.Userf(diag.Pos{}, "key %s cannot sign: it has expired, was revoked or is for other purposes", e.PrimaryKey.KeyIdString())
	case key.PrivateKey == nil || key.PrivateKey.Dummy():
		return nil, diag.Userf(diag.Pos{}, "the private part of key %s is missing", key.PublicKey.KeyIdString()).
			WithHint("import it with `gpg --import FILE` into the folder that GNUPGHOME names")
	case key.PrivateKey.Encrypted:
		return nil, protected(key.PublicKey.KeyIdString())
	}
	return key.PrivateKey, nil
}

func protected(id string) error {
	return diag.Userf(diag.Pos{}, "the private part of key %s is protected by a passphrase, which nobody can enter in a build", id).
		WithHint("use a key without one: `gpg --passwd %s`, with an empty passphrase", id)
}

// FileKeys are the keys of a file, armored or binary. A file with public keys alone is completed from GnuPG's folder home.
func FileKeys(path, home string) (Keyring, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, diag.Userf(diag.Pos{}, "read the signing key: %w", err)
	}
	keys, err := parseKeys(data)
	if err != nil {
		return nil, diag.Userf(diag.Pos{File: path}, "it holds no OpenPGP key: %w", err)
	}
	return complete(keys, home)
}

// NamedKeys are the keys of GnuPG's folder home that ids name by their fingerprint, key id or part of a user id; "yes" and
// "default" are the first key that is there with its private part.
func NamedKeys(ids []string, home string) (Keyring, error) {
	if home == "" {
		return nil, diag.Userf(diag.Pos{}, "SignWith names the key %s, but there is no folder of GnuPG to take it from", strings.Join(ids, " ")).WithHint("export GNUPGHOME")
	}
	all, err := publicKeys(home)
	if err != nil {
		return nil, diag.Userf(diag.Pos{}, "read GnuPG's keys in %s: %w", home, err).WithHint("name the folder in GNUPGHOME")
	}
	var out Keyring
	for _, id := range ids {
		if id == "yes" || id == "default" {
			k, err := firstComplete(all, home)
			if err != nil {
				return nil, err
			}
			out = append(out, k)
			continue
		}
		i := slices.IndexFunc(all, func(e *openpgp.Entity) bool { return means(e, id) })
		if i < 0 {
			return nil, diag.Userf(diag.Pos{}, "GnuPG's folder %s has no key %q", home, id).WithHint("`gpg --list-secret-keys` shows those that are there")
		}
		out = append(out, all[i])
	}
	return complete(out, home)
}

func firstComplete(all Keyring, home string) (*openpgp.Entity, error) {
	for _, e := range all {
		if _, err := complete(Keyring{e}, home); err == nil {
			return e, nil
		}
	}
	return nil, diag.Userf(diag.Pos{}, "GnuPG's folder %s has no key that could sign", home).WithHint("`gpg --list-secret-keys` shows those that are there")
}

// means reports whether a key is the one that id means.
func means(e *openpgp.Entity, id string) bool {
	hexid := strings.ToUpper(strings.TrimPrefix(strings.TrimSuffix(id, "!"), "0x"))
	if len(hexid) >= 8 {
		if strings.HasSuffix(strings.ToUpper(hex.EncodeToString(e.PrimaryKey.Fingerprint)), hexid) {
			return true
		}
		for _, s := range e.Subkeys {
			if strings.HasSuffix(strings.ToUpper(hex.EncodeToString(s.PublicKey.Fingerprint)), hexid) {
				return true
			}
		}
	}
	for name := range e.Identities {
		if strings.Contains(strings.ToLower(name), strings.ToLower(id)) {
			return true
		}
	}
	return false
}

// parseKeys reads public or private keys; several armored blocks may follow each other.
func parseKeys(data []byte) (Keyring, error) {
	if !bytes.Contains(data, []byte("-----BEGIN PGP")) {
		list, err := openpgp.ReadKeyRing(bytes.NewReader(data))
		return Keyring(list), err
	}
	var out Keyring
	begin := []byte("-----BEGIN PGP")
	for start := bytes.Index(data, begin); start >= 0; {
		end := len(data)
		next := bytes.Index(data[start+1:], begin)
		if next >= 0 {
			next += start + 1
			end = next
		}
		block, err := armor.Decode(bytes.NewReader(data[start:end]))
		if err != nil {
			return nil, err
		}
		list, err := openpgp.ReadKeyRing(block.Body)
		if err != nil && err != io.EOF {
			return nil, err
		}
		out = append(out, list...)
		start = next
	}
	if len(out) == 0 {
		return nil, errors.New("there is none in it")
	}
	return out, nil
}

// complete finds the private parts of the keys that lack them.
func complete(keys Keyring, home string) (Keyring, error) {
	for _, e := range keys {
		key, ok := e.SigningKey(signingTime(e))
		if ok && key.PrivateKey != nil {
			if _, err := signingKey(e, signingTime(e)); err != nil {
				return nil, err
			}
			continue
		}
		if home == "" {
			return nil, diag.Userf(diag.Pos{}, "the private part of key %s is needed to sign", e.PrimaryKey.KeyIdString()).
				WithHint("import it with `gpg --import FILE` and export GNUPGHOME, the folder of GnuPG")
		}
		if err := findPrivate(e, home); err != nil {
			return nil, err
		}
		if _, err := signingKey(e, signingTime(e)); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// signingTime is the first moment at which all keys of e exist: whether one may sign does not depend on the clock.
func signingTime(e *openpgp.Entity) time.Time {
	at := e.PrimaryKey.CreationTime
	for _, id := range e.Identities {
		if id.SelfSignature != nil && id.SelfSignature.CreationTime.After(at) {
			at = id.SelfSignature.CreationTime
		}
	}
	for _, s := range e.Subkeys {
		if s.Sig != nil && s.Sig.CreationTime.After(at) {
			at = s.Sig.CreationTime
		}
	}
	return at
}

// findPrivate looks through GnuPG's folder for the private parts of a key.
func findPrivate(e *openpgp.Entity, home string) error {
	if ring, err := os.ReadFile(filepath.Join(home, "secring.gpg")); err == nil { // GnuPG 1 and exports
		if list, err := parseKeys(ring); err == nil {
			for _, p := range list {
				if bytes.Equal(p.PrimaryKey.Fingerprint, e.PrimaryKey.Fingerprint) {
					*e = *p
					return nil
				}
			}
		}
	}
	dir := filepath.Join(home, "private-keys-v1.d")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return diag.Userf(diag.Pos{}, "look for the private part of key %s: %w", e.PrimaryKey.KeyIdString(), err).
			WithHint("name GnuPG's folder in GNUPGHOME")
	}
	var faults []error
	for _, f := range entries {
		if filepath.Ext(f.Name()) != ".key" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return err
		}
		if err := attach(e, data); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", f.Name(), err))
		}
	}
	if key, ok := e.SigningKey(signingTime(e)); ok && key.PrivateKey == nil && len(faults) > 0 {
		return errors.Join(faults...)
	}
	return nil
}
