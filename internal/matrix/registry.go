package matrix

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"n3x/internal/atomicfile"
	"n3x/internal/diag"
)

// RegistryVersion is the version of the registry's format.
const RegistryVersion = 1

// RegistryFile and NixFile are the registry's names in the folder of the images.
const (
	RegistryFile = "registry.json"
	NixFile      = "isar-artifacts.nix"
)

// Registry is what was built. It says nothing of when and where, so that equal inputs give equal bytes.
type Registry struct {
	Version  int               `json:"version"`
	Variants map[string]*Entry `json:"variants"` // by identifier
}

// Entry is one variant that was built.
type Entry struct {
	Machine  string   `json:"machine"`
	Role     string   `json:"role"`
	Profile  string   `json:"profile,omitempty"`
	Node     string   `json:"node,omitempty"`
	Overlays []string `json:"overlays"` // relative to the definition's folder
	Packages []string `json:"packages"` // groups that the image was checked for
	Inputs   Inputs   `json:"inputs"`
	Files    []File   `json:"files"` // in the definition's order
}

// Inputs are what the image was made of.
type Inputs struct {
	Commit   string `json:"commit,omitempty"`   // of the project; "" outside a repository
	Modified bool   `json:"modified,omitempty"` // the project had changes that are in no commit
	Epoch    string `json:"sourceDateEpoch,omitempty"`
	Lock     string `json:"lock,omitempty"`    // SHA-256 of the lock file
	Profile  string `json:"profile,omitempty"` // SHA-256 of the profile
	K3s      string `json:"k3s,omitempty"`     // K3S_VERSION, of images that have K3s
}

// File is one file of an image.
type File struct {
	Kind   string `json:"kind"` // the end of its deployed name, e.g. ".wic"
	Name   string `json:"name"`
	Size   int64  `json:"size"` // bytes
	SHA256 string `json:"sha256"`
}

// ReadRegistry reads the registry of a folder; it is empty when there is none.
func ReadRegistry(dir string) (*Registry, error) {
	path := filepath.Join(dir, RegistryFile)
	r := &Registry{Version: RegistryVersion, Variants: map[string]*Entry{}}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, diag.Userf(diag.Pos{}, "read the registry: %w", err)
	}
	again := "remove it, and build the matrix again"
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(r); err != nil {
		return nil, diag.Userf(diag.Pos{File: path}, "the registry cannot be read: %w", err).WithHint("%s", again)
	}
	if r.Version != RegistryVersion {
		return nil, diag.Userf(diag.Pos{File: path}, "the registry has version %d, and this n3x knows version %d", r.Version, RegistryVersion).WithHint("%s", again)
	}
	for id, e := range r.Variants {
		if e == nil {
			return nil, diag.Userf(diag.Pos{File: path}, "the registry has no entry at %s", id).WithHint("%s", again)
		}
		for _, f := range e.Files {
			if filepath.Base(f.Name) != f.Name || f.Name == "." || f.Name == ".." {
				return nil, diag.Userf(diag.Pos{File: path}, "the registry's %s has the file %q, which lies elsewhere", id, f.Name).WithHint("%s", again)
			}
		}
	}
	return r, nil
}

// Write writes the registry and its Nix file into a folder, each as a whole. Files that are the same already stay as they are.
func (r *Registry) Write(dir string) error {
	for name, data := range map[string][]byte{RegistryFile: r.JSON(), NixFile: r.Nix()} {
		if err := atomicfile.WriteIfChanged(filepath.Join(dir, name), data, 0o644); err != nil {
			return diag.Failedf(diag.Pos{}, "write the registry: %w", err)
		}
	}
	return nil
}

// JSON is the registry's text.
func (r *Registry) JSON() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		panic("BUG: " + err.Error()) // texts and numbers always encode
	}
	return b.Bytes()
}

// Describe measures a file of a folder.
func Describe(dir, kind, name string) (File, error) {
	f := File{Kind: kind, Name: name}
	in, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return f, err
	}
	defer in.Close()
	h := sha256.New()
	if f.Size, err = io.Copy(h, in); err != nil {
		return f, fmt.Errorf("read %s: %w", name, err)
	}
	f.SHA256 = hex.EncodeToString(h.Sum(nil))
	return f, nil
}

// Verify compares the files of a folder with the registry: those of the chosen entries, and with whole also that there
// is no file besides. All differences are told.
func (r *Registry) Verify(dir string, ids []string, whole bool) error {
	var errs []error
	for _, id := range ids {
		e := r.Variants[id]
		for _, f := range e.Files {
			now, err := Describe(dir, f.Kind, f.Name)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				errs = append(errs, diag.Failedf(diag.Pos{File: filepath.Join(dir, f.Name)}, "the file of %s is missing", id))
			case err != nil:
				errs = append(errs, diag.Failedf(diag.Pos{File: filepath.Join(dir, f.Name)}, "the file of %s cannot be read: %w", id, err))
			case now.Size != f.Size:
				errs = append(errs, diag.Failedf(diag.Pos{File: filepath.Join(dir, f.Name)}, "the file of %s has %d bytes, and had %d when it was built", id, now.Size, f.Size))
			case now.SHA256 != f.SHA256:
				errs = append(errs, diag.Failedf(diag.Pos{File: filepath.Join(dir, f.Name)}, "the file of %s has SHA-256 %s, and had %s when it was built", id, now.SHA256, f.SHA256))
			}
		}
	}
	nix, err := os.ReadFile(filepath.Join(dir, NixFile))
	if err != nil || !bytes.Equal(nix, r.Nix()) {
		errs = append(errs, diag.Failedf(diag.Pos{File: filepath.Join(dir, NixFile)}, "the file does not say what %s says", RegistryFile))
	}
	if whole {
		errs = append(errs, r.strays(dir)...)
	}
	return errors.Join(errs...)
}

// strays are errors for files of a folder that the registry does not have.
func (r *Registry) strays(dir string) []error {
	known := map[string]bool{RegistryFile: true, NixFile: true}
	for _, e := range r.Variants {
		for _, f := range e.Files {
			known[f.Name] = true
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return []error{diag.Failedf(diag.Pos{}, "look for files that no variant has: %w", err)}
	}
	var errs []error
	for _, e := range entries {
		if !known[e.Name()] {
			errs = append(errs, diag.Failedf(diag.Pos{File: filepath.Join(dir, e.Name())}, "the file belongs to no variant of the registry"))
		}
	}
	return errs
}

// Remove forgets a variant and removes its files.
func (r *Registry) Remove(dir, id string) error {
	e := r.Variants[id]
	if e == nil {
		return nil
	}
	delete(r.Variants, id)
	for _, f := range e.Files {
		if err := os.Remove(filepath.Join(dir, f.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return diag.Failedf(diag.Pos{}, "remove a file of %s: %w", id, err)
		}
	}
	return nil
}

// IDs are the identifiers of the registry, sorted.
func (r *Registry) IDs() []string { return slices.Sorted(maps.Keys(r.Variants)) }
