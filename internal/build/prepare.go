package build

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"n3x/internal/atomicfile"
)

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
