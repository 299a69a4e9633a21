package images

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"path"
	"strings"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/diag"
	"n3x/internal/disk/fstree"
	"n3x/internal/isar"
)

// Secrets are what IMAGE_SECRETS may name, and the user's own key, by which a changed secret is noticed without keeping
// anything that tells what it was.
type Secrets interface {
	// Read gives the secret that a word of IMAGE_SECRETS names: a file, perhaps with #KEY behind it.
	Read(source string) ([]byte, error)
	// Key is random, the user's alone, and stays the same.
	Key() ([]byte, error)
}

// secretFile is a word of IMAGE_SECRETS: SOURCE:TARGET.
type secretFile struct{ source, target string }

func secretFiles(d *datastore.Data) ([]secretFile, error) {
	words, err := d.Value("IMAGE_SECRETS")
	if err != nil {
		return nil, err
	}
	var out []secretFile
	for _, w := range strings.Fields(words) {
		i := strings.LastIndexByte(w, ':')
		if i <= 0 || !path.IsAbs(w[i+1:]) || path.Clean(w[i+1:]) != w[i+1:] {
			return nil, diag.Userf(d.LastSet("IMAGE_SECRETS"), "IMAGE_SECRETS has %q", w).WithHint("write SOURCE:TARGET, e.g. ${HOME}/token:/etc/rancher/k3s/token")
		}
		out = append(out, secretFile{w[:i], w[i+1:]})
	}
	return out, nil
}

// SecretsDigest changes when a secret of the image does; "" when it has none.
func (r *Room) SecretsDigest(d *datastore.Data) (string, error) {
	files, err := secretFiles(d)
	if err != nil || files == nil {
		return "", err
	}
	if r.Secrets == nil {
		return "", diag.Userf(d.LastSet("IMAGE_SECRETS"), "IMAGE_SECRETS is set, and this build was given no secrets")
	}
	key, err := r.Secrets.Key()
	if err != nil {
		return "", err
	}
	h := hmac.New(sha256.New, key)
	for _, f := range files {
		content, err := r.Secrets.Read(f.source)
		if err != nil {
			return "", err
		}
		h.Write([]byte(f.target + "\x00"))
		h.Write(content)
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// withSecrets puts the image's secrets into the tree of its root file system, which exists in memory only: readable by root,
// and in no folder, layer or package. It reports whether there are any.
func (r *Room) withSecrets(c *isar.Call, t *fstree.Tree) (bool, error) {
	files, err := secretFiles(c.Data)
	if err != nil || files == nil {
		return false, err
	}
	epoch, err := c.Epoch()
	if err != nil {
		return false, err
	}
	for _, f := range files {
		content, err := r.Secrets.Read(f.source)
		if err != nil {
			return false, err
		}
		dir, ok := t.Resolve(path.Dir(f.target))
		if n, has := t.Lookup(dir); !ok || !has || !n.IsDir() {
			return false, diag.Userf(c.Data.LastSet("IMAGE_SECRETS"), "IMAGE_SECRETS puts a secret at %s, but the image of %s has no folder %s", f.target, c.Recipe, path.Dir(f.target)).
				WithHint("let a package of the image bring the folder")
		}
		if err := t.Put(path.Join(dir, path.Base(f.target)), fstree.NewFile(append(content, '\n'), 0o600, epoch.Unix())); err != nil {
			return false, err
		}
	}
	return true, nil
}
