package build

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"n3x/internal/arch"
	"n3x/internal/atomicfile"
	"n3x/internal/diag"
	"n3x/internal/isar"
)

// Session is what a build knows before its metadata is read; it becomes conf/n3x-session.conf.
type Session struct {
	Epoch   int64  // seconds since 1970: the newest time that anything built bears
	BuildID string // of the build system, e.g. "n3x-0.1.0"
	// Fixed is set when Epoch was asked for (SOURCE_DATE_EPOCH in the environment): recipes cannot override it then.
	Fixed bool
}

// WriteSession writes conf/n3x-session.conf of a build folder.
func WriteSession(topDir string, s Session) error {
	text := fmt.Sprintf("# Written by n3x before each build.\nN3X_HOST_ARCH = %q\nN3X_BUILD_ID = %q\nN3X_SOURCE_DATE_EPOCH = \"%d\"\n",
		arch.Host(), s.BuildID, s.Epoch)
	if s.Fixed {
		text += "SOURCE_DATE_EPOCH = \"${N3X_SOURCE_DATE_EPOCH}\"\n"
	}
	return atomicfile.WriteIfChanged(filepath.Join(topDir, "conf", "n3x-session.conf"), []byte(text), 0o644)
}

// ensureSession makes a session file for a build folder that was not set up by kas.
func ensureSession(topDir string) error {
	_, err := os.Stat(filepath.Join(topDir, "conf", "n3x-session.conf"))
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return WriteSession(topDir, Session{Epoch: FallbackEpoch})
}

// FallbackEpoch is ISAR's SOURCE_DATE_EPOCH_FALLBACK, for a project whose history says nothing.
const FallbackEpoch = 1709565251

// metaDir puts the embedded layer on disk, where recipes, tasks and people can read it, and returns its path.
func metaDir(o Options) (string, error) {
	if err := ensureSession(o.TopDir); err != nil {
		return "", err
	}
	meta := isar.Meta()
	files := map[string][]byte{}
	h := sha256.New()
	err := fs.WalkDir(meta, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(meta, name)
		files[name] = data
		fmt.Fprintf(h, "%s %d\n", name, len(data))
		h.Write(data)
		return err
	})
	if err != nil {
		return "", err
	}
	dir := filepath.Join(o.TopDir, "n3x", hex.EncodeToString(h.Sum(nil))[:16], "meta")
	if _, err := os.Stat(filepath.Join(dir, "complete")); err == nil {
		return dir, nil
	}
	for name, data := range files {
		if err := atomicfile.Write(filepath.Join(dir, name), data, 0o644); err != nil {
			return "", diag.Failedf(diag.Pos{}, "write the built-in layer: %w", err)
		}
	}
	return dir, atomicfile.Write(filepath.Join(dir, "complete"), nil, 0o644)
}

// linkDownloads keeps build/downloads pointing to DL_DIR. A folder of that name that holds something stays.
func linkDownloads(topDir, dl string) error {
	link := filepath.Join(topDir, "downloads")
	if link == filepath.Clean(dl) {
		return nil
	}
	st, err := os.Lstat(link)
	if err == nil && st.Mode()&fs.ModeSymlink == 0 {
		return nil
	}
	return atomicfile.Symlink(dl, link)
}

// Environment makes a map of "NAME=value" words.
func Environment(words []string) map[string]string {
	out := make(map[string]string, len(words))
	for _, w := range words {
		if k, v, ok := strings.Cut(w, "="); ok {
			out[k] = v
		}
	}
	return out
}

// defaultCaches are DL_DIR and SSTATE_DIR of the environment, or the places where kas/base.yml puts them.
func defaultCaches(env map[string]string) [2]string {
	home := filepath.Join(env["HOME"], ".cache", "yocto")
	out := [2]string{filepath.Join(home, "downloads"), filepath.Join(home, "sstate")}
	for i, name := range []string{"DL_DIR", "SSTATE_DIR"} {
		if dir := env[name]; dir != "" {
			out[i] = dir
		}
	}
	return out
}
