package secret

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"filippo.io/age/armor"

	"n3x/internal/diag"
)

// Identity is where private keys are: a file, or text.
type Identity struct {
	File string // with age or SSH keys; "" when Text has them
	Text string // age keys, one a line
	From string // the variable that named them, e.g. "SOPS_AGE_KEY_FILE"; "" for a usual place, whose file may be missing
}

func (i Identity) name() string {
	if i.File == "" {
		return i.From
	}
	return i.File
}

// keyHint is what helps when no key fits.
const keyHint = "name a file with an age or SSH private key by SOPS_AGE_KEY_FILE"

// open decrypts an age file.
func (o Options) open(file string, data []byte) ([]byte, error) {
	identities, passed, err := o.identities()
	if err != nil {
		return nil, err
	}
	if len(identities) == 0 {
		return nil, locked(file, passed)
	}
	out, err := decrypt(data, identities)
	if errors.As(err, new(*age.NoIdentityMatchError)) {
		return nil, locked(file, passed)
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

// locked says that no key fits, and where keys were looked for.
func locked(file string, passed []string) error {
	e := diag.Userf(diag.Pos{File: file}, "none of your keys decrypts the secret")
	for _, p := range passed {
		e = e.WithNote("%s", p)
	}
	return e.WithHint(keyHint)
}

// identities reads the keys that exist, and says for each place what was found there.
func (o Options) identities() (keys []age.Identity, passed []string, err error) {
	for _, i := range o.Identities {
		text := []byte(i.Text)
		if i.File != "" {
			text, _, err = load(i.File)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				if i.From != "" {
					return nil, nil, diag.Userf(diag.Pos{}, "%s names the file %s, which does not exist", i.From, i.File).WithHint("name a file with an age or SSH private key, or unset it")
				}
				passed = append(passed, i.File+" does not exist")
				continue
			case err != nil:
				return nil, nil, diag.Userf(diag.Pos{}, "read a key: %w", err)
			}
		}
		some, why, err := parseKeys(i, text)
		if err != nil {
			return nil, nil, err
		}
		keys = append(keys, some...)
		passed = append(passed, i.name()+" has "+why)
	}
	return keys, passed, nil
}

// parseKeys reads one place's keys; why says what they are.
func parseKeys(i Identity, text []byte) (keys []age.Identity, why string, err error) {
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("-----BEGIN")) {
		one, err := agessh.ParseIdentity(text)
		if err != nil {
			return nil, "a key that cannot be used (of another kind than SSH's Ed25519 and RSA, or with a passphrase)", nil
		}
		return []age.Identity{one}, "an SSH key", nil
	}
	if strings.HasPrefix(string(text), ageHeader) {
		return nil, "keys under a passphrase, which cannot be used", nil
	}
	keys, err = age.ParseIdentities(bytes.NewReader(text))
	if err != nil {
		// The library quotes no key.
		return nil, "", diag.Userf(diag.Pos{File: i.name()}, "not a file of age identities: %w", err)
	}
	return keys, fmt.Sprintf("%d age keys", len(keys)), nil
}
