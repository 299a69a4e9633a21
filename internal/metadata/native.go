package metadata

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"n3x/internal/arch"
	"n3x/internal/atomicfile"
	"n3x/internal/bitbake/recipe"
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

// FallbackEpoch is ISAR's SOURCE_DATE_EPOCH_FALLBACK, for a project whose history says nothing.
const FallbackEpoch = 1709565251

func (s Session) text() []byte {
	text := fmt.Sprintf("# Written by n3x before each build.\nN3X_HOST_ARCH = %q\nN3X_BUILD_ID = %q\nN3X_SOURCE_DATE_EPOCH = \"%d\"\n",
		arch.Host(), s.BuildID, s.Epoch)
	if s.Fixed {
		text += "SOURCE_DATE_EPOCH = \"${N3X_SOURCE_DATE_EPOCH}\"\n"
	}
	return []byte(text)
}

// WriteSession writes conf/n3x-session.conf of a build folder.
func WriteSession(topDir string, s Session) error {
	return atomicfile.WriteIfChanged(filepath.Join(topDir, "conf", "n3x-session.conf"), s.text(), 0o644)
}

// nativeLayer puts the built-in layer into the build folder, where recipes, tasks and people can read it. In a folder that
// cannot be written, questions see it at the same path all the same.
func nativeLayer(o Options) (dir string, overlays []recipe.Overlay, err error) {
	files, key, err := builtin()
	if err != nil {
		return "", nil, err
	}
	dir = filepath.Join(o.TopDir, "n3x", key, "meta")
	switch err = writeLayer(dir, files); {
	case err == nil:
		return dir, nil, nil
	case !o.Run && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)):
		return dir, []recipe.Overlay{{Path: dir, FS: isar.Meta()}}, nil
	}
	return "", nil, diag.Failedf(diag.Pos{}, "write the built-in layer: %w", err)
}

// builtin are the files of the built-in layer, and a name for their content.
func builtin() (files map[string][]byte, key string, err error) {
	meta := isar.Meta()
	files = map[string][]byte{}
	h := sha256.New()
	err = fs.WalkDir(meta, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(meta, name)
		files[name] = data
		fmt.Fprintf(h, "%s %d\n", name, len(data))
		h.Write(data)
		return err
	})
	return files, hex.EncodeToString(h.Sum(nil))[:16], err
}

// writeLayer writes the files once; the last one says that all are there.
func writeLayer(dir string, files map[string][]byte) error {
	complete := filepath.Join(dir, "complete")
	if _, err := os.Stat(complete); err == nil {
		return nil
	}
	for name, data := range files {
		if err := atomicfile.Write(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return atomicfile.Write(complete, nil, 0o644)
}
