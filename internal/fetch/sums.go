package fetch

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
)

// errChecksum marks content that is not what the recipe asks for.
var errChecksum = errors.New("checksum mismatch")

// sumError is content with another checksum than the recipe asks for.
type sumError struct{ kind, got, want string }

func (e *sumError) Error() string {
	return fmt.Sprintf("%v: %s is %s, not %s", errChecksum, e.kind, e.got, e.want)
}
func (e *sumError) Unwrap() error { return errChecksum }

// checkSums holds a file against the checksums that are asked for; without any, the file has to exist.
func checkSums(path string, want map[string]string) error {
	var kinds []string
	for _, k := range sumKinds {
		if want[k] != "" {
			kinds = append(kinds, k)
		}
	}
	got, err := fileSums(path, kinds...)
	if err != nil {
		return err
	}
	for _, k := range kinds {
		if got[k] != want[k] {
			return &sumError{k, got[k], want[k]}
		}
	}
	return nil
}

// fileSums computes checksums of a file in one pass.
func fileSums(path string, kinds ...string) (map[string]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if len(kinds) == 0 {
		return nil, nil
	}
	hashes := map[string]hash.Hash{}
	var all []io.Writer
	for _, k := range kinds {
		h := newHash(k)
		hashes[k] = h
		all = append(all, h)
	}
	if _, err := io.Copy(io.MultiWriter(all...), file); err != nil {
		return nil, err
	}
	sums := map[string]string{}
	for k, h := range hashes {
		sums[k] = hex.EncodeToString(h.Sum(nil))
	}
	return sums, nil
}

func newHash(kind string) hash.Hash {
	switch kind {
	case "sha512":
		return sha512.New()
	case "sha384":
		return sha512.New384()
	case "sha1":
		return sha1.New()
	case "md5":
		return md5.New()
	}
	return sha256.New()
}
