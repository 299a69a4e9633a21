// Package packages holds the task bodies that end in Debian packages: dpkg-raw, dpkg-prebuilt, and isar-apt, the
// repository that they are deployed to. One file for each class, named like it.
//
// Mirrors ISAR's meta/classes-recipe/{dpkg-base,dpkg-raw,dpkg-prebuilt,debianize,repository}.bbclass and the debhelper
// commands that these run for a package that only installs files.
package packages

import (
	"os"
	"path/filepath"

	"n3x/internal/isar"
)

// Natives are the functions of this room by the names that the embedded classes call them.
func Natives() map[string]isar.Native {
	return map[string]isar.Native{
		"dpkg.deploy_deb":       deployDeb,
		"dpkg.clean":            cleanDeb,
		"dpkg.deploy_source":    deploySource,
		"dpkg.undeploy_source":  undeploySource,
		"dpkg.fetch_source":     fetchCommonSource,
		"dpkg.local_isarapt":    localIsarApt,
		"dpkg-raw.source":       sourceRaw,
		"dpkg-prebuilt.build":   checkPrebuilt,
		"isar-apt.cache_config": cacheConfig,
	}
}

// debs lists the packages that a recipe has built.
func debs(c *isar.Call) ([]string, error) {
	work, err := c.Value("WORKDIR")
	if err != nil {
		return nil, err
	}
	return filepath.Glob(filepath.Join(escapeGlob(work), "*.deb"))
}

// removeDebs removes the packages that a recipe has built.
func removeDebs(c *isar.Call) error {
	old, err := debs(c)
	if err != nil {
		return err
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// escapeGlob makes every character of a path stand for itself in filepath.Glob.
func escapeGlob(path string) string {
	out := make([]byte, 0, len(path))
	for i := range len(path) {
		switch path[i] {
		case '*', '?', '[', '\\':
			out = append(out, '\\')
		}
		out = append(out, path[i])
	}
	return string(out)
}
