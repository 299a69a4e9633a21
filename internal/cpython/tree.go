package cpython

import (
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/arch"
	"n3x/internal/diag"
)

// InTree gives the command that runs the python3 of a folder in which Debian's packages are unpacked, such as a tools tree,
// without entering it: the folder's own dynamic loader finds the folder's libraries, whatever C library the host has, and
// files and programs of metadata are the host's. path is the PATH that metadata's programs are found by.
func InTree(dir, path string) (argv, env []string, err error) {
	gnu := arch.Host().GNU()
	python := newest(filepath.Join(dir, "usr/bin/python3.*[0-9]"))
	loader := ""
	for _, place := range []string{"usr/lib64", "usr/lib/" + gnu, "usr/lib"} { // ld.so(8); merged /usr
		if loader == "" {
			loader = newest(filepath.Join(dir, place, "ld-linux*.so.*"))
		}
	}
	if python == "" || loader == "" {
		return nil, nil, diag.Failedf(diag.Pos{File: dir}, "there is no python3, or no dynamic loader, in the tools tree").WithHint("remove the folder, and it is made anew")
	}
	libraries := filepath.Join(dir, "usr/lib", gnu) + ":" + filepath.Join(dir, "usr/lib")
	return []string{loader, "--argv0", python, "--library-path", libraries, python}, []string{"PATH=" + path}, nil
}

// newest is the last of the files that match, by the length of the name and then by the name: 3.9 comes before 3.13.
func newest(pattern string) string {
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		return ""
	}
	return slices.MaxFunc(found, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
}
