package metadata

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// nativeLayers puts the built-in layers into the build folder, where recipes, tasks and people can read them, and returns the
// folder that holds meta and meta-isar. In a folder that cannot be written, questions see them at the same paths all the same.
func nativeLayers(o Options) (dir string, overlays []recipe.Overlay, err error) {
	layers := map[string]fs.FS{"meta": isar.Meta(), "meta-isar": isar.StandIn()}
	files := map[string][]byte{}
	for name, layer := range layers {
		if err := readTree(layer, name, files); err != nil {
			return "", nil, err
		}
	}
	dir = filepath.Join(o.TopDir, "n3x", digest(files))
	switch err = writeTree(dir, files); {
	case err == nil:
		return dir, nil, nil
	case !o.Run && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)):
		for name, layer := range layers {
			overlays = append(overlays, recipe.Overlay{Path: filepath.Join(dir, name), FS: layer})
		}
		return dir, overlays, nil
	}
	return "", nil, diag.Failedf(diag.Pos{}, "write the built-in layers: %w", err)
}

// readTree adds the files of a layer, below its name.
func readTree(layer fs.FS, below string, files map[string][]byte) error {
	return fs.WalkDir(layer, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(layer, name)
		files[filepath.Join(below, name)] = data
		// BitBake looks in these folders of all layers first: a checkout's class must not win over the built-in one.
		if class, ok := strings.CutPrefix(name, "classes/"); ok {
			files[filepath.Join(below, "classes-global", class)] = data
			files[filepath.Join(below, "classes-recipe", class)] = data
		}
		return err
	})
}

// digest is a name for the content of files.
func digest(files map[string][]byte) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(h, "%s %d\n", name, len(files[name]))
		h.Write(files[name])
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// writeTree writes the files once; the last one says that all are there.
func writeTree(dir string, files map[string][]byte) error {
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
