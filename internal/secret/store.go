package secret

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"n3x/internal/atomicfile"
	"n3x/internal/diag"
)

// Store is the folder of a user's own secrets, and what decrypts others.
type Store struct {
	Dir        string // e.g. ~/.local/share/n3x; it is the user's alone
	Identities []Identity
}

// Read gives the secret that source names: a file, perhaps with #KEY behind it for a value of a sops file.
func (s *Store) Read(source string) ([]byte, error) {
	o := Options{Identities: s.Identities}
	if _, err := os.Lstat(source); err != nil {
		source, o.Key, _ = strings.Cut(source, "#")
	}
	return Read(source, o)
}

// Key is random and stays the same.
func (s *Store) Key() ([]byte, error) {
	file := filepath.Join(s.Dir, "key")
	key, mode, err := load(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil && mode&0o077 != 0 {
		return nil, diag.Userf(diag.Pos{File: file}, "the key can be read by others than its owner (mode %04o)", mode).WithHint("chmod 600 %s", file)
	}
	if err == nil && len(key) == 32 {
		return key, nil
	}
	key = make([]byte, 32)
	rand.Read(key) //nolint:errcheck // it never fails (crypto/rand)
	if err := s.write(file, key); err != nil {
		return nil, err
	}
	return key, nil
}

func (s *Store) write(file string, data []byte) error {
	err := os.MkdirAll(filepath.Dir(file), 0o700)
	if err == nil {
		err = os.Chmod(s.Dir, 0o700) //nolint:gosec // a folder
	}
	if err == nil {
		err = atomicfile.Write(file, data, 0o600)
	}
	if err != nil {
		return diag.Failedf(diag.Pos{}, "write a secret: %w", err)
	}
	return nil
}

// Token is the file of a cluster's token in the store.
func (s *Store) Token(cluster string) string {
	return filepath.Join(s.Dir, "clusters", cluster, "token")
}

// NewToken makes a random token of 256 bits.
func NewToken() string {
	b := make([]byte, 32)
	rand.Read(b) //nolint:errcheck // it never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

// WriteToken makes a token in file, which must not exist.
func (s *Store) WriteToken(file string) error {
	if _, err := os.Lstat(file); err == nil {
		return diag.Userf(diag.Pos{}, "%s exists", file).WithHint("remove it first; machines with the old token then cannot join those with the new one")
	}
	if strings.HasPrefix(file, s.Dir+string(filepath.Separator)) {
		return s.write(file, []byte(NewToken()+"\n"))
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return diag.Failedf(diag.Pos{}, "write a token: %w", err)
	}
	if err := atomicfile.Write(file, []byte(NewToken()+"\n"), 0o600); err != nil {
		return diag.Failedf(diag.Pos{}, "write a token: %w", err)
	}
	return nil
}
