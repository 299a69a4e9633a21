package apt

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"n3x/internal/diag"
)

// keyring is the set of keys that may sign one repository.
type keyring struct {
	entities     openpgp.EntityList
	fingerprints []string // upper-case hex; when set, only these keys count
}

// parseKeyring reads binary or armored public keys; several armored blocks may follow each other.
func parseKeyring(data []byte) (openpgp.EntityList, error) {
	if !bytes.Contains(data, []byte("-----BEGIN PGP")) {
		return openpgp.ReadKeyRing(bytes.NewReader(data))
	}
	var all openpgp.EntityList
	begin := []byte("-----BEGIN PGP")
	for start := bytes.Index(data, begin); start >= 0; { // armor.Decode reads beyond the block that it decodes
		next := bytes.Index(data[start+1:], begin)
		end := len(data)
		if next >= 0 {
			next += start + 1
			end = next
		}
		block, err := armor.Decode(bytes.NewReader(data[start:end]))
		if err != nil {
			return nil, err
		}
		if block.Type != openpgp.PublicKeyType {
			return nil, fmt.Errorf("it holds a %q, want a public key", block.Type)
		}
		el, err := openpgp.ReadKeyRing(block.Body)
		if err != nil {
			return nil, err
		}
		all = append(all, el...)
		start = next
	}
	return all, nil
}

// openInRelease splits a clear-signed file into its text and its signatures. Text outside the signed part is refused.
func openInRelease(data []byte) (text []byte, block *clearsign.Block, err error) {
	if !bytes.HasPrefix(data, []byte("-----BEGIN PGP SIGNED MESSAGE-----")) {
		return nil, nil, errNotSigned
	}
	block, rest := clearsign.Decode(data)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return nil, nil, errors.New("its clear-text signature is damaged")
	}
	return block.Plaintext, block, nil
}

var errNotSigned = errors.New("it is not a signed Release file")

// verify checks that at least one signature in the packets of sigs is by a key of the ring, valid now.
// The reasons why the others do not count are in the error.
func (k keyring) verify(signed []byte, sigs io.Reader, now time.Time) error {
	config := &packet.Config{Time: func() time.Time { return now }}
	refused := diag.Failedf(diag.Pos{}, "no valid signature by a trusted key")
	packets := packet.NewOpaqueReader(sigs)
	for {
		raw, err := packets.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("its signature is damaged: %w", err)
		}
		var b bytes.Buffer
		if err := raw.Serialize(&b); err != nil {
			return err
		}
		p, err := raw.Parse()
		sig, ok := p.(*packet.Signature)
		if err != nil || !ok {
			refused.WithNote("a signature packet that cannot be read: %v", err)
			continue
		}
		_, signer, err := openpgp.VerifyDetachedSignature(k.entities, bytes.NewReader(signed), &b, config)
		if err == nil {
			err = checkStrength(signer, sig)
		}
		if err == nil && !k.allows(signer, sig) {
			err = errors.New("signed-by does not name this key")
		}
		if err == nil {
			return nil
		}
		refused.WithNote("signature by %s: %s", issuer(sig), reason(err))
	}
	if len(refused.Notes) == 0 {
		refused.WithNote("it holds no signature")
	}
	return refused
}

// minRSA is the smallest RSA key that counts, as for apt.
const minRSA = 2048

// checkStrength refuses signatures that can be forged; the library checks this only when it makes signatures.
func checkStrength(e *openpgp.Entity, sig *packet.Signature) error {
	switch sig.Hash {
	case crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256, crypto.SHA3_512:
	default:
		return fmt.Errorf("it uses the weak hash %s", sig.Hash)
	}
	key := usedKey(e, sig)
	switch key.PubKeyAlgo {
	case packet.PubKeyAlgoDSA, packet.PubKeyAlgoElGamal:
		return errors.New("it uses the weak algorithm DSA")
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly:
		if bits, err := key.BitLength(); err != nil || bits < minRSA {
			return fmt.Errorf("its RSA key has %d bits, at least %d are needed", bits, minRSA)
		}
	}
	return nil
}

// usedKey is the key of e, or the subkey, that made sig.
func usedKey(e *openpgp.Entity, sig *packet.Signature) *packet.PublicKey {
	for _, sub := range e.Subkeys {
		if sig.CheckKeyIdOrFingerprint(sub.PublicKey) {
			return sub.PublicKey
		}
	}
	return e.PrimaryKey
}

// allows applies the fingerprints of signed-by: of the primary key (its subkeys count too, unless "!" follows) or of a subkey.
func (k keyring) allows(e *openpgp.Entity, sig *packet.Signature) bool {
	if len(k.fingerprints) == 0 {
		return true
	}
	primary := strings.ToUpper(hex.EncodeToString(e.PrimaryKey.Fingerprint))
	used := strings.ToUpper(hex.EncodeToString(usedKey(e, sig).Fingerprint))
	for _, f := range k.fingerprints {
		if f == primary || strings.TrimSuffix(f, "!") == used {
			return true
		}
	}
	return false
}

func issuer(sig *packet.Signature) string {
	switch {
	case len(sig.IssuerFingerprint) > 0:
		return strings.ToUpper(hex.EncodeToString(sig.IssuerFingerprint))
	case sig.IssuerKeyId != nil:
		return fmt.Sprintf("key %016X", *sig.IssuerKeyId)
	}
	return "an unnamed key"
}

// reason says in plain words why a signature does not count.
func reason(err error) string {
	switch {
	case errors.Is(err, pgperrors.ErrUnknownIssuer):
		return "the key is not in the keyring"
	case errors.Is(err, pgperrors.ErrKeyExpired):
		return "the key has expired"
	case errors.Is(err, pgperrors.ErrSignatureExpired):
		return "the signature has expired"
	case errors.Is(err, pgperrors.ErrKeyRevoked):
		return "the key was revoked"
	case errors.As(err, new(pgperrors.SignatureError)):
		return "bad signature: the file was changed after it was signed"
	}
	return err.Error()
}

// parseFingerprints reads a signed-by value that is a list of fingerprints.
func parseFingerprints(value string) ([]string, bool) {
	var all []string
	for _, f := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' }) {
		hexpart := strings.TrimSuffix(f, "!")
		if _, err := hex.DecodeString(hexpart); err != nil || len(hexpart) != 40 && len(hexpart) != 64 {
			return nil, false
		}
		all = append(all, strings.ToUpper(f))
	}
	return all, len(all) > 0
}

// detached opens a Release.gpg, which may be armored.
func detached(data []byte) (io.Reader, error) {
	if !bytes.Contains(data, []byte("-----BEGIN PGP SIGNATURE")) {
		return bytes.NewReader(data), nil
	}
	block, err := armor.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("its signature is damaged: %w", err)
	}
	return block.Body, nil
}
