package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"regexp"
	"strconv"
	"strings"

	"n3x/internal/diag"
	"n3x/internal/yaml"
)

// sealed is an encrypted value.
var sealed = regexp.MustCompile(`^ENC\[AES256_GCM,data:([^,]*),iv:([^,]*),tag:([^,]*),type:(str|int|float|bool|bytes|comment)\]$`)

// onlySealedStart begins the authentication code of encrypted values alone (sops.MACOnlyEncryptedInitialization).
const onlySealedStart = "8a3fd2ad54ce66527b1034f3d147be0b0b975b3bf44f72c6fdadec8176f27d69"

// value is a leaf of a sops file, decrypted.
type value struct {
	path   string // e.g. "k3s.token" or "tokens.0"
	clear  []byte
	sealed bool
}

// sops decrypts a sops file and gives the value that is asked for.
func (o Options) sops(file string, data []byte) ([]byte, error) {
	f, err := parseSops(file, data)
	if err != nil {
		return nil, err
	}
	key, err := o.dataKey(file, f)
	if err != nil {
		return nil, err
	}
	d := &document{file: f, key: key, mac: sha512.New()}
	if f.onlySealed {
		start, err := hex.DecodeString(onlySealedStart)
		if err != nil {
			return nil, err
		}
		d.mac.Write(start) //nolint:errcheck // hashes take everything
	}
	for _, e := range f.values {
		d.walk(e.Node, []string{e.Key}, e.Key)
	}
	if d.err != nil {
		return nil, diag.Userf(diag.Pos{File: file}, "the secret cannot be decrypted: %w", d.err)
	}
	mac, err := unseal(key, f.mac, f.modified)
	if err != nil || subtle.ConstantTimeCompare([]byte(strings.ToUpper(string(mac))), []byte(strings.ToUpper(hex.EncodeToString(d.mac.Sum(nil))))) != 1 {
		return nil, diag.Userf(diag.Pos{File: file}, "the file was changed after sops had written it: its message authentication code does not fit").
			WithHint("take the change back, or edit the file with: sops %s", file)
	}
	return o.choose(file, d.values)
}

// dataKey decrypts the key that the values are under.
func (o Options) dataKey(file string, f *sopsFile) ([]byte, error) {
	if f.groups {
		return nil, diag.Userf(diag.Pos{File: file}, "the file needs keys of several groups, which n3x does not join").WithHint("encrypt it for one age recipient")
	}
	if len(f.recipients) == 0 {
		return nil, diag.Userf(diag.Pos{File: file}, "the file is encrypted for no age recipient").WithHint("sops rotate --in-place --add-age RECIPIENT %s", file)
	}
	var err error
	for _, r := range f.recipients {
		var key []byte
		if key, err = o.open(file, []byte(r)); err == nil {
			if len(key) != 32 {
				return nil, diag.Userf(diag.Pos{File: file}, "the data key has %d bytes, not 32", len(key))
			}
			return key, nil
		}
	}
	return nil, err
}

// document collects the values of a sops file in its order.
type document struct {
	file   *sopsFile
	key    []byte
	values []value
	mac    hash.Hash
	err    error
}

// walk visits the leaves below a node. place is what a value is bound to, where items of a list have their list's; name is
// what a person calls it.
func (d *document) walk(n *yaml.Node, place []string, name string) {
	switch v := n.Value.(type) {
	case *yaml.Map:
		for _, e := range v.Entries() {
			d.walk(e.Node, append(place[:len(place):len(place)], e.Key), name+"."+e.Key)
		}
	case []*yaml.Node:
		for i, item := range v {
			d.walk(item, place, name+"."+strconv.Itoa(i))
		}
	case nil:
	default:
		d.leaf(n, strings.Join(place, ":")+":", name)
	}
}

func (d *document) leaf(n *yaml.Node, place, name string) {
	text, _ := n.Text()
	v := value{path: name, sealed: sealed.MatchString(text)}
	if v.sealed {
		var err error
		if v.clear, err = unseal(d.key, text, place); err != nil && d.err == nil {
			d.err = fmt.Errorf("%s: %w", v.path, err)
		}
	} else {
		v.clear = []byte(d.file.clear(n))
	}
	if v.sealed || !d.file.onlySealed {
		d.mac.Write(v.clear) //nolint:errcheck // hashes take everything
	}
	d.values = append(d.values, v)
}

// unseal decrypts one value, which is bound to its place.
func unseal(key []byte, text, place string) ([]byte, error) {
	m := sealed.FindStringSubmatch(text)
	if m == nil {
		return nil, errors.New("it is not encrypted")
	}
	var parts [3][]byte
	for i := range parts {
		var err error
		if parts[i], err = base64.StdEncoding.DecodeString(m[i+1]); err != nil {
			return nil, err
		}
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	if len(parts[1]) == 0 {
		return nil, errors.New("it has no initialisation vector")
	}
	gcm, err := cipher.NewGCMWithNonceSize(block, len(parts[1]))
	if err != nil {
		return nil, err
	}
	return gcm.Open(nil, parts[1], append(parts[0], parts[2]...), []byte(place))
}

// choose finds the value that is asked for: a.b and a/b are both the value b below a.
func (o Options) choose(file string, values []value) ([]byte, error) {
	var names []string
	for _, v := range values {
		if v.path == o.Key || v.path == strings.ReplaceAll(o.Key, "/", ".") || o.Key == "" && (v.path == "token" || len(values) == 1) {
			if !v.sealed && len(v.clear) > 0 {
				return nil, diag.Userf(diag.Pos{File: file}, "the value %s is not encrypted", v.path).WithHint("encrypt it: sops %s", file)
			}
			return v.clear, nil
		}
		names = append(names, v.path)
	}
	if o.Key == "" {
		return nil, diag.Userf(diag.Pos{File: file}, "the file has several values, none of them called token").WithHint("name one behind the file: %s#KEY; it has %s", file, strings.Join(names, ", "))
	}
	return nil, diag.Userf(diag.Pos{File: file}, "the file has no value %s", o.Key).WithHint("it has: %s", strings.Join(names, ", "))
}
