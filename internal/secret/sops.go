package secret

import (
	"bytes"
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
	"strings"

	"n3x/internal/diag"
	"n3x/internal/yaml"
)

// looksLikeSops reports whether a file is a document with sops' own part.
func looksLikeSops(data []byte) bool {
	text := string(data)
	return strings.HasPrefix(text, "sops:") || strings.Contains(text, "\nsops:") || strings.HasPrefix(strings.TrimSpace(text), "{") && strings.Contains(text, `"sops"`)
}

// sealed is an encrypted value.
var sealed = regexp.MustCompile(`^ENC\[AES256_GCM,data:([^,]*),iv:([^,]*),tag:([^,]*),type:(str|int|float|bool|bytes|comment)\]$`)

// value is a leaf of a sops file, decrypted.
type value struct {
	path  string
	clear []byte
}

// sops decrypts a sops file and gives the value that is asked for.
func (o Options) sops(file string, data []byte) ([]byte, error) {
	parse := yaml.Parse
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		parse = yaml.ParseJSON
	}
	root, err := parse(file, data, nil)
	if err != nil {
		return nil, err
	}
	own := root.Lookup("sops")
	if own.Map() == nil {
		return nil, diag.Userf(diag.Pos{File: file}, "sops' own part is no mapping")
	}
	key, err := o.dataKey(file, own)
	if err != nil {
		return nil, err
	}
	d := &document{key: key, mac: sha512.New(), onlySealed: word(own.Lookup("mac_only_encrypted")) == "true"}
	for _, e := range root.Map().Entries() {
		if e.Key != "sops" {
			d.walk(e.Node, []string{e.Key})
		}
	}
	if d.err != nil {
		return nil, diag.Userf(diag.Pos{File: file}, "the secret cannot be decrypted: %w", d.err)
	}
	mac, err := unseal(key, word(own.Lookup("mac")), word(own.Lookup("lastmodified")))
	if err != nil || subtle.ConstantTimeCompare([]byte(strings.ToUpper(string(mac))), []byte(strings.ToUpper(hex.EncodeToString(d.mac.Sum(nil))))) != 1 {
		return nil, diag.Userf(diag.Pos{File: file}, "the file was changed after sops had written it").WithHint("write it again with sops")
	}
	return o.choose(file, d.values)
}

// dataKey decrypts the key that the values are under.
func (o Options) dataKey(file string, own *yaml.Node) ([]byte, error) {
	if len(own.Lookup("key_groups").List()) > 0 || word(own.Lookup("shamir_threshold")) > "1" {
		return nil, diag.Userf(diag.Pos{File: file}, "the file needs keys of several groups, which n3x does not join").WithHint("encrypt it for one age recipient")
	}
	recipients := own.Lookup("age").List()
	if len(recipients) == 0 {
		return nil, diag.Userf(diag.Pos{File: file}, "the file is encrypted for no age recipient").WithHint("sops --rotate --in-place --add-age RECIPIENT %s", file)
	}
	var err error
	for _, r := range recipients {
		var key []byte
		if key, err = o.open(file, []byte(word(r.Lookup("enc")))); err == nil {
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
	key        []byte
	values     []value
	mac        hash.Hash
	onlySealed bool
	err        error
}

func (d *document) walk(n *yaml.Node, path []string) {
	for _, e := range n.Map().Entries() {
		d.walk(e.Node, append(path[:len(path):len(path)], e.Key))
	}
	for _, item := range n.List() {
		d.walk(item, path) // items of a list have their list's path
	}
	if n.Map() != nil || n.List() != nil || n.Value == nil {
		return
	}
	text := word(n)
	v := value{path: strings.Join(path, "."), clear: []byte(text)}
	if b, ok := n.Value.(bool); ok {
		v.clear = []byte(map[bool]string{true: "True", false: "False"}[b])
	}
	isSealed := sealed.MatchString(text)
	if isSealed {
		var err error
		if v.clear, err = unseal(d.key, text, strings.Join(path, ":")+":"); err != nil && d.err == nil {
			d.err = fmt.Errorf("%s: %w", v.path, err)
		}
	}
	if isSealed || !d.onlySealed {
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

// choose finds the value that is asked for.
func (o Options) choose(file string, values []value) ([]byte, error) {
	var names []string
	for _, v := range values {
		if v.path == o.Key || o.Key == "" && (v.path == "token" || len(values) == 1) {
			return v.clear, nil
		}
		names = append(names, v.path)
	}
	if o.Key == "" {
		return nil, diag.Userf(diag.Pos{File: file}, "the file has several values, none of them called token").WithHint("name one behind the file: %s#KEY; it has %s", file, strings.Join(names, ", "))
	}
	return nil, diag.Userf(diag.Pos{File: file}, "the file has no value %s", o.Key).WithHint("it has: %s", strings.Join(names, ", "))
}

func word(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	if s, ok := n.Text(); ok {
		return s
	}
	if n.Plain == "" && n.Value != nil && n.Map() == nil && n.List() == nil {
		return fmt.Sprint(n.Value) // of JSON
	}
	return n.Plain
}
