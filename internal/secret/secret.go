// Package secret reads secrets from files: plain ones, files encrypted with age, and sops files whose key is age's.
//
// A plain file must be its owner's alone. What is decrypted exists in memory only; no error quotes it.
//
// Formats: https://age-encryption.org/v1 (binary and armored; X25519 and SSH identities), and https://github.com/getsops/sops
// (YAML, JSON, dotenv, ini and binary files; values AES256_GCM under a data key, with the message authentication code checked).
package secret

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"filippo.io/age/armor"
	"golang.org/x/sys/unix"

	"n3x/internal/diag"
)

// maxSize bounds what is read: tokens are short, and a wrong name must not fill the memory.
const maxSize = 1 << 20

// Options say what decrypts.
type Options struct {
	Identities []Identity
	Key        string // of a sops file: the value's path, e.g. "k3s.token"; "" is the only value, or the one called token
}

// Read gives the secret in a file, without white space around it: K3s reads a token file so.
func Read(file string, o Options) ([]byte, error) {
	data, mode, err := load(file)
	if err != nil {
		return nil, err
	}
	switch kindOf(data) {
	case encrypted:
		if o.Key != "" {
			return nil, notSops(file, o.Key)
		}
		data, err = o.open(file, data)
	case sops:
		data, err = o.sops(file, data)
	default:
		if mode&0o077 != 0 {
			return nil, diag.Userf(diag.Pos{File: file}, "the secret can be read by others than its owner (mode %04o)", mode).WithHint("chmod 600 %s", file)
		}
		if o.Key != "" {
			return nil, notSops(file, o.Key)
		}
	}
	if err != nil {
		return nil, err
	}
	return checked(file, data)
}

// checked refuses what is no word of text: K3s sends a token in a header, and compares it with a line of a table.
func checked(file string, data []byte) ([]byte, error) {
	data = bytes.TrimSpace(data)
	lines := bytes.Count(data, []byte("\n")) + 1
	switch {
	case len(data) == 0:
		return nil, diag.Userf(diag.Pos{File: file}, "the secret is empty").WithHint("n3x cluster token --output FILE makes one")
	case lines > 1:
		return nil, diag.Userf(diag.Pos{File: file}, "the secret has %d lines, not one", lines).
			WithHint("leave the token alone in the file; for a YAML file with several values, encrypt it with sops and name one: FILE#KEY")
	case !utf8.Valid(data) || bytes.ContainsFunc(data, unicode.IsControl):
		return nil, diag.Userf(diag.Pos{File: file}, "the secret has bytes that are no text").WithHint("n3x cluster token --output FILE makes a good one")
	}
	return data, nil
}

func notSops(file, key string) error {
	return diag.Userf(diag.Pos{File: file}, "the file is not encrypted with sops, so it has no value %s", key).
		WithHint("leave #%s away when the whole file is the secret", key)
}

// load reads a regular file, and never waits for a pipe.
func load(file string) ([]byte, fs.FileMode, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		e := diag.Userf(diag.Pos{}, "there is no secret %s", file).WithHint("n3x cluster token --output %s makes one", file)
		e.Err = err
		return nil, 0, e
	}
	if err != nil {
		return nil, 0, diag.Userf(diag.Pos{}, "read a secret: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, 0, diag.Failedf(diag.Pos{}, "read a secret: %w", err)
	}
	if !st.Mode().IsRegular() {
		return nil, 0, diag.Userf(diag.Pos{File: file}, "the secret is no regular file, but %s", sort(st.Mode())).
			WithHint("name a file; it is read several times, so a pipe will not do")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, 0, diag.Failedf(diag.Pos{}, "read a secret: %w", err)
	}
	if len(data) > maxSize {
		return nil, 0, diag.Userf(diag.Pos{File: file}, "the file is larger than %d bytes, so it is no secret", maxSize)
	}
	return data, st.Mode().Perm(), nil
}

// sort is what a person calls a file that is no regular one.
func sort(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a folder"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
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
	if formOf(data) != noForm {
		return sops
	}
	return plain
}
