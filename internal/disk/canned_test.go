// SPDX-License-Identifier: MIT

package disk_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"n3x/internal/diag"
	"n3x/internal/disk"
	"n3x/internal/disk/wks"
)

// TestCanned reads every canned layout of the ISAR checkout that N3X_TEST_ISAR names, and builds those whose sources are
// supported.
func TestCanned(t *testing.T) {
	isar := os.Getenv("N3X_TEST_ISAR")
	if isar == "" {
		t.Skip("N3X_TEST_ISAR names no checkout of ISAR")
	}
	dirs := []string{isar + "/meta-isar/scripts/lib/wic/canned-wks", isar + "/scripts/lib/wic/canned-wks"}
	var files []string
	for _, dir := range dirs {
		for _, pattern := range []string{"*.wks", "*.wks.in"} {
			found, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, found...)
		}
	}
	if len(files) < 30 {
		t.Fatalf("only %d layouts", len(files))
	}
	built := 0
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			o := fakeOptions(t, "part --size 1")
			find := func(name string) (string, []byte, error) {
				for _, dir := range dirs {
					if data, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
						return filepath.Join(dir, name), data, nil
					}
				}
				return "", nil, os.ErrNotExist
			}
			vars := map[string]string{"IMAGE_ROOTFS": o.Rootfs, "MACHINE": "m", "IMAGE_FULLNAME": "image", "DEPLOY_DIR_IMAGE": o.DeployDir}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			o.WKS, err = wks.Parse(file, data, wks.Options{
				Var:      func(name string) (string, bool) { v, ok := vars[name]; return v, ok },
				Template: strings.HasSuffix(file, ".in"), Include: find,
				Warn: func(pos diag.Pos, text string) { t.Logf("%s: %s", pos, text) },
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Join(o.Rootfs, "install"), 0o755); err != nil {
				t.Fatal(err)
			}
			o.Resolve = func(path string) string {
				if strings.HasPrefix(path, "/usr/lib/") {
					return filepath.Join(o.DeployDir, "blob")
				}
				return path
			}
			o.RootfsDirs = map[string]string{"rootfs1": o.Rootfs, "rootfs2": o.Rootfs}
			_, err = disk.Build(context.Background(), o)
			if err == nil {
				built++
			} else if !strings.Contains(err.Error(), "not supported") {
				t.Error(err)
			} else {
				t.Log(err)
			}
		})
	}
	if built < 10 {
		t.Errorf("only %d layouts were built", built)
	}
}
