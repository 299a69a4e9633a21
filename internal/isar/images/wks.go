package images

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/diag"
)

// wksPath is the file that WKS_FILE names: as it is, or below a layer's wic folder or its canned layouts.
func (r *Room) wksPath(d *datastore.Data) (string, error) {
	name, err := d.Value("WKS_FILE")
	if err != nil {
		return "", err
	}
	if name == "" {
		return "", diag.Userf(d.LastSet("WKS_FILE"), "WKS_FILE is empty, and the image type wic needs a layout").WithHint("set it to a file below a layer's wic folder, e.g. WKS_FILE = \"sdimage-efi\"")
	}
	if !strings.HasSuffix(name, ".wks") && !strings.HasSuffix(name, ".wks.in") {
		name += ".wks"
	}
	dirs, err := wksDirs(d)
	if err != nil {
		return "", err
	}
	if path := r.findIn(dirs, name); path != "" {
		return path, nil
	}
	return "", diag.Userf(d.LastSet("WKS_FILE"), "WKS_FILE names %s, which no layer has", name).WithHint("put it into a layer's wic folder; looked in: %s", strings.Join(dirs, " "))
}

// wksDirs are the folders that layouts and their includes are looked up in.
func wksDirs(d *datastore.Data) ([]string, error) {
	paths, err := d.Value("BBPATH")
	if err != nil {
		return nil, err
	}
	core, err := d.Value("COREBASE")
	if err != nil {
		return nil, err
	}
	var wic, canned []string
	for _, p := range strings.Split(paths, ":") {
		wic = append(wic, filepath.Join(p, "wic"))
		canned = append(canned, filepath.Join(p, "scripts/lib/wic/canned-wks"))
	}
	if core != "" && !strings.Contains(core, "${") {
		canned = append(canned, filepath.Join(core, "scripts/lib/wic/canned-wks"))
	}
	return append(wic, canned...), nil
}

func (r *Room) findIn(dirs []string, name string) string {
	if filepath.IsAbs(name) {
		dirs = []string{"/"}
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		if _, err := r.ReadFile(path); err == nil {
			return path
		}
	}
	return ""
}

// WKSDigest identifies the text of the layout that a recipe's WKS_FILE names, with what it includes: when it changes,
// the disk is made anew.
func (r *Room) WKSDigest(d *datastore.Data) (string, error) {
	path, err := r.wksPath(d)
	if err != nil {
		return "", err
	}
	dirs, err := wksDirs(d)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	seen := map[string]bool{}
	for queue := []string{path}; len(queue) > 0; queue = queue[1:] {
		if seen[queue[0]] {
			continue
		}
		seen[queue[0]] = true
		text, err := r.ReadFile(queue[0])
		if errors.Is(err, fs.ErrNotExist) {
			continue // refused with its place when the layout is read
		}
		if err != nil {
			return "", err
		}
		h.Write(text)
		h.Write([]byte{0})
		for line := range strings.SplitSeq(string(text), "\n") {
			if words := strings.Fields(line); len(words) == 2 && words[0] == "include" {
				if p := r.findIn(dirs, words[1]); p != "" {
					queue = append(queue, p)
				}
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
