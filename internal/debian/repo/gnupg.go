package repo

import (
	"bytes"
	"crypto/rsa"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp/ecdsa"
	"github.com/ProtonMail/go-crypto/openpgp/eddsa"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/ProtonMail/go-crypto/openpgp"
)

// publicKeys reads the public keys of GnuPG's folder: pubring.kbx, or pubring.gpg of older versions.
func publicKeys(home string) (Keyring, error) {
	data, err := os.ReadFile(filepath.Join(home, "pubring.kbx"))
	if errors.Is(err, fs.ErrNotExist) {
		if data, err = os.ReadFile(filepath.Join(home, "pubring.gpg")); err == nil {
			return parseKeys(data)
		}
	}
	if err != nil {
		return nil, err
	}
	return keybox(data)
}

// keybox reads GnuPG's keybox format (doc/DETAILS and kbx/keybox-blob.c of GnuPG describe it): blobs that begin with their
// length and type; those of type 2 hold an OpenPGP key at an offset.
func keybox(data []byte) (Keyring, error) {
	const header, openPGP = 20, 2
	var out Keyring
	for len(data) >= 5 {
		length := int64(binary.BigEndian.Uint32(data))
		if length < 5 || length > int64(len(data)) {
			return nil, errors.New("pubring.kbx is damaged")
		}
		blob := data[:length]
		data = data[length:]
		if blob[4] != openPGP || len(blob) < header {
			continue
		}
		offset, size := int64(binary.BigEndian.Uint32(blob[8:])), int64(binary.BigEndian.Uint32(blob[12:]))
		if offset+size > length {
			return nil, errors.New("pubring.kbx is damaged")
		}
		list, err := openpgp.ReadKeyRing(bytes.NewReader(blob[offset : offset+size]))
		if err != nil {
			continue // a key of a kind that the library does not know; another may be the one that is meant
		}
		out = append(out, list...)
	}
	return out, nil
}

// attach gives a key, or a subkey of it, its private part when data, a file of private-keys-v1.d, holds it.
func attach(e *openpgp.Entity, data []byte) error {
	expr, err := parseSecret(data)
	if err != nil {
		return err
	}
	private, err := secretFor(e.PrimaryKey, expr)
	if err != nil {
		return err
	}
	if private != nil {
		e.PrivateKey = private
	}
	for i := range e.Subkeys {
		if private, err = secretFor(e.Subkeys[i].PublicKey, expr); err != nil {
			return err
		}
		if private != nil {
			e.Subkeys[i].PrivateKey = private
		}
	}
	return nil
}

// sexp is an S-expression: a list, or an atom.
type sexp struct {
	atom []byte
	list []*sexp
}

// child is the first list within s that begins with name.
func (s *sexp) child(name string) *sexp {
	for _, c := range s.list {
		if c.name() == name {
			return c
		}
	}
	return nil
}

func (s *sexp) name() string {
	if len(s.list) > 0 && s.list[0].list == nil {
		return string(s.list[0].atom)
	}
	return ""
}

// value is the atom behind the name of the list that is called name.
func (s *sexp) value(name string) []byte {
	if c := s.child(name); c != nil && len(c.list) > 1 {
		return c.list[1].atom
	}
	return nil
}

// parseSecret reads a file of private-keys-v1.d (agent/keyformat.txt of GnuPG): an S-expression, or lines of names and
// values of which Key has it.
func parseSecret(data []byte) (*sexp, error) {
	if !bytes.HasPrefix(data, []byte("(")) {
		_, rest, ok := bytes.Cut(append([]byte("\n"), data...), []byte("\nKey:"))
		if !ok {
			return nil, errors.New("it holds no key")
		}
		data = rest
	}
	p := &sexpParser{data: data}
	s, err := p.next(0)
	if err != nil {
		return nil, err
	}
	if s == nil || s.list == nil {
		return nil, errors.New("it holds no key")
	}
	return s, nil
}

type sexpParser struct {
	data []byte
	pos  int
}

var errSexp = errors.New("it is damaged")

// next reads one expression; nil is the end of a list.
func (p *sexpParser) next(depth int) (*sexp, error) {
	for p.pos < len(p.data) && strings.IndexByte(" \t\r\n", p.data[p.pos]) >= 0 {
		p.pos++
	}
	if p.pos == len(p.data) || depth > 32 {
		return nil, errSexp
	}
	switch c := p.data[p.pos]; {
	case c == '(':
		p.pos++
		s := &sexp{list: []*sexp{}}
		for {
			child, err := p.next(depth + 1)
			if err != nil {
				return nil, err
			}
			if child == nil {
				return s, nil
			}
			s.list = append(s.list, child)
		}
	case c == ')':
		p.pos++
		return nil, nil
	case c == '#', c == '"':
		return p.quoted(c)
	}
	return p.word()
}

// quoted reads #hexadecimal# or "text".
func (p *sexpParser) quoted(mark byte) (*sexp, error) {
	end := bytes.IndexByte(p.data[p.pos+1:], mark)
	if end < 0 {
		return nil, errSexp
	}
	text := p.data[p.pos+1 : p.pos+1+end]
	p.pos += end + 2
	if mark == '"' {
		return &sexp{atom: text}, nil
	}
	raw, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		return nil, errSexp
	}
	return &sexp{atom: raw}, nil
}

// word reads a bare word, or <length>:<bytes>.
func (p *sexpParser) word() (*sexp, error) {
	start := p.pos
	for p.pos < len(p.data) && strings.IndexByte(" \t\r\n()#\":", p.data[p.pos]) < 0 {
		p.pos++
	}
	text := p.data[start:p.pos]
	if p.pos == len(p.data) || p.data[p.pos] != ':' {
		if len(text) == 0 {
			return nil, errSexp
		}
		return &sexp{atom: text}, nil
	}
	var n int
	if _, err := fmt.Sscanf(string(text), "%d", &n); err != nil || n < 0 || n > len(p.data)-p.pos-1 {
		return nil, errSexp
	}
	raw := p.data[p.pos+1 : p.pos+1+n]
	p.pos += 1 + n
	return &sexp{atom: raw}, nil
}

// secretFor is the private part of pub when s has it, else nil.
func secretFor(pub *packet.PublicKey, s *sexp) (*packet.PrivateKey, error) {
	var key *sexp
	for _, kind := range []string{"rsa", "ecc"} {
		if key = s.child(kind); key != nil {
			break
		}
	}
	if key == nil {
		return nil, nil
	}
	point := key.value("q")
	switch k := pub.PublicKey.(type) {
	case *rsa.PublicKey:
		if new(big.Int).SetBytes(key.value("n")).Cmp(k.N) != 0 {
			return nil, nil
		}
	case *eddsa.PublicKey:
		if !bytes.Equal(point, k.MarshalPoint()) {
			return nil, nil
		}
	case *ecdsa.PublicKey:
		if !bytes.Equal(point, k.MarshalPoint()) {
			return nil, nil
		}
	default:
		return nil, nil
	}
	values, err := secretValues(pub, s, key)
	if err != nil {
		return nil, err
	}
	return privateKey(pub, values)
}

// secretValues are the secret numbers: d, and p, q, u of RSA.
func secretValues(pub *packet.PublicKey, s, key *sexp) (map[string][]byte, error) {
	out := map[string][]byte{}
	if s.name() == "private-key" {
		for _, name := range []string{"d", "p", "q"} {
			out[name] = key.value(name)
		}
		return out, nil
	}
	// What was imported and never used since lies there as OpenPGP has it.
	prot := key.child("protected")
	if s.name() != "protected-private-key" || prot == nil || len(prot.list) < 3 || string(prot.list[1].atom) != "openpgp-native" {
		return nil, protected(pub.KeyIdString())
	}
	native := prot.list[2]
	if p := native.child("protection"); p == nil || string(p.list[len(p.list)-1].atom) != "none" {
		return nil, protected(pub.KeyIdString())
	}
	list := native.child("skey")
	if list == nil {
		return nil, errSexp
	}
	var numbers [][]byte // behind the word skey, marks and numbers take turns
	for i := 2; i < len(list.list); i += 2 {
		numbers = append(numbers, list.list[i].atom)
	}
	switch {
	case len(numbers) >= 5 && pub.PubKeyAlgo == packet.PubKeyAlgoRSA: // n e d p q u
		out["d"], out["p"], out["q"] = numbers[2], numbers[3], numbers[4]
	case len(numbers) >= 2: // q d
		out["d"] = numbers[len(numbers)-1]
	default:
		return nil, errSexp
	}
	return out, nil
}

func privateKey(pub *packet.PublicKey, v map[string][]byte) (*packet.PrivateKey, error) {
	out := &packet.PrivateKey{PublicKey: *pub}
	switch k := pub.PublicKey.(type) {
	case *rsa.PublicKey:
		key := &rsa.PrivateKey{PublicKey: *k, D: new(big.Int).SetBytes(v["d"]), Primes: []*big.Int{new(big.Int).SetBytes(v["p"]), new(big.Int).SetBytes(v["q"])}}
		if err := key.Validate(); err != nil {
			return nil, err
		}
		key.Precompute()
		out.PrivateKey = key
	case *eddsa.PublicKey:
		key := eddsa.NewPrivateKey(*k)
		if err := key.UnmarshalByteSecret(padded(v["d"], 32)); err != nil {
			return nil, err
		}
		out.PrivateKey = key
	case *ecdsa.PublicKey:
		key := ecdsa.NewPrivateKey(*k)
		if err := key.UnmarshalIntegerSecret(v["d"]); err != nil {
			return nil, err
		}
		out.PrivateKey = key
	}
	return out, nil
}

// padded puts zeros before a number that lost its leading ones.
func padded(b []byte, n int) []byte {
	for len(b) > n && b[0] == 0 {
		b = b[1:]
	}
	return append(make([]byte, max(0, n-len(b))), b...)
}
