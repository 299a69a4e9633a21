// Package secret reads secrets from files: plain ones, files encrypted with age, and sops files whose key is age's.
//
// A plain file must be its owner's alone. What is decrypted exists in memory only; no error quotes it.
//
// Formats: https://age-encryption.org/v1 (binary and armored; X25519 and SSH identities), and https://github.com/getsops/sops
// (YAML and JSON; values AES256_GCM under a data key, with the message authentication code checked).
package secret

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"filippo.io/age/armor"

	"n3x/internal/diag"
)

// maxSize bounds what is read: tokens are short, and a wrong name must not fill the memory.
const maxSize = 1 << 20

// Options say what decrypts.
type Options struct {
	Identities []string // files with age or SSH private keys; missing ones are passed over
	Key        string   // of a sops file: the value's path, e.g. "k3s.token"; "" is the only value, or the one called token
}

// Read gives the secret in a file, without the line end behind it.
func Read(file string, o Options) ([]byte, error) {
	data, err := load(file)
	if err != nil {
		return nil, err
	}
	kind := kindOf(data)
	if kind == plain {
		if err := private(file); err != nil {
			return nil, err
		}
	}
	switch kind {
	case encrypted:
		data, err = o.open(file, data)
	case sops:
		data, err = o.sops(file, data)
	}
	if err != nil {
		return nil, err
	}
	data = bytes.TrimRight(data, "\r\n")
	switch {
	case len(data) == 0:
		return nil, diag.Userf(diag.Pos{File: file}, "the secret is empty")
	case bytes.ContainsAny(data, "\r\n\x00"):
		return nil, diag.Userf(diag.Pos{File: file}, "the secret has more than one line")
	}
	return data, nil
}

func load(file string) ([]byte, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, diag.Userf(diag.Pos{}, "there is no secret %s", file)
	}
	if err != nil {
		return nil, diag.Userf(diag.Pos{}, "read a secret: %w", err)
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, diag.Userf(diag.Pos{File: file}, "the secret is no regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, diag.Failedf(diag.Pos{}, "read a secret: %w", err)
	}
	if len(data) > maxSize {
		return nil, diag.Userf(diag.Pos{File: file}, "the file is larger than %d bytes, so it is no secret", maxSize)
	}
	return data, nil
}

// private refuses a file that others than its owner can read.
func private(file string) error {
	st, err := os.Stat(file)
	if err != nil {
		return diag.Failedf(diag.Pos{}, "read a secret: %w", err)
	}
	if mode := st.Mode().Perm(); mode&0o077 != 0 {
		return diag.Userf(diag.Pos{File: file}, "the secret can be read by others than its owner (mode %04o)", mode).WithHint("chmod 600 %s", file)
	}
	return nil
}

type kind int

const (
	plain kind = iota
	encrypted
	sops
)

const ageHeader = "age-encryption.org/v1\n"

func kindOf(data []byte) kind {
	if strings.HasPrefix(string(data), ageHeader) || strings.HasPrefix(strings.TrimSpace(string(data)), armor.Header) {
		return encrypted
	}
	if looksLikeSops(data) {
		return sops
	}
	return plain
}

// open decrypts an age file.
func (o Options) open(file string, data []byte) ([]byte, error) {
	identities, err := o.identities()
	if err != nil {
		return nil, err
	}
	if len(identities) == 0 {
		return nil, o.locked(file)
	}
	out, err := decrypt(data, identities)
	if errors.As(err, new(*age.NoIdentityMatchError)) {
		return nil, o.locked(file)
	}
	if err != nil {
		return nil, diag.Userf(diag.Pos{File: file}, "the secret cannot be decrypted: %w", err)
	}
	return out, nil
}

func decrypt(data []byte, identities []age.Identity) ([]byte, error) {
	var r io.Reader = bytes.NewReader(data)
	if !strings.HasPrefix(string(data), ageHeader) {
		r = armor.NewReader(bufio.NewReader(bytes.NewReader(bytes.TrimSpace(data))))
	}
	clear, err := age.Decrypt(r, identities...)
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(clear, maxSize+1))
	if err == nil && len(out) > maxSize {
		err = errors.New("it is too large")
	}
	return out, err
}

// locked says that no key fits.
func (o Options) locked(file string) error {
	e := diag.Userf(diag.Pos{File: file}, "none of your keys decrypts the secret")
	if len(o.Identities) == 0 {
		return e.WithHint("name a file with an age or SSH private key by N3X_AGE_IDENTITY")
	}
	return e.WithNote("keys were looked for in %s", strings.Join(o.Identities, ", ")).WithHint("name a file with an age or SSH private key by N3X_AGE_IDENTITY")
}

// identities reads the keys that exist.
func (o Options) identities() ([]age.Identity, error) {
	var out []age.Identity
	for _, file := range o.Identities {
		data, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, diag.Userf(diag.Pos{}, "read a key: %w", err)
		}
		if bytes.HasPrefix(bytes.TrimSpace(data), []byte("-----BEGIN")) {
			if one, err := agessh.ParseIdentity(data); err == nil {
				out = append(out, one)
			}
			continue // of another kind, or with a passphrase: it opens nothing here
		}
		some, err := age.ParseIdentities(bytes.NewReader(data))
		if err != nil {
			return nil, diag.Userf(diag.Pos{File: file}, "not a file of age identities: %w", err)
		}
		out = append(out, some...)
	}
	return out, nil
}
