package isar

import (
	"io/fs"
	"path/filepath"
	"strings"

	"n3x/internal/diag"
	"n3x/internal/sandbox"
)

// systemFolders are those of a Linux system that a program changes only on purpose. Folders for passing things (/tmp,
// /run, /var/cache, homes) are not among them.
var systemFolders = []string{"bin", "boot", "etc", "lib", "lib64", "opt", "sbin", "srv", "usr", "var/lib", "var/log", "var/www"}

// strayed is the error of a function with the flag n3x_within that wrote somewhere else in the system: to the throw-away
// copy of the tools' root, where it would be lost without a word. The flag's value is the folder that was meant.
func (c *Call) strayed(name string, cmd *sandbox.Cmd) error {
	within, err := c.Flag(name, "n3x_within")
	if err != nil || within == "" {
		return err
	}
	for _, m := range cmd.Mounts {
		if m.Type != sandbox.Overlay || m.Target != "/" {
			continue
		}
		file, err := firstFile(m.Upper)
		if err != nil || file == "" {
			return err
		}
		return diag.Userf(c.Pos, "%s of %s wrote %s, which is outside %s and would be lost", name, c.Recipe, file, within).WithHint("write to ${D}%s", file)
	}
	return nil
}

// firstFile is the path in the system of a file that lies in the upper layer of an overlay, "" when there is none.
// What Python leaves beside its modules does not count.
func firstFile(upper string) (string, error) {
	found := ""
	for _, dir := range systemFolders {
		err := filepath.WalkDir(filepath.Join(upper, dir), func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				if d == nil {
					return nil // the function left this folder alone
				}
				return err
			case d.IsDir() && d.Name() == "__pycache__":
				return fs.SkipDir
			case d.Type().IsRegular() || d.Type()&fs.ModeSymlink != 0:
				found = strings.TrimPrefix(path, upper)
				return fs.SkipAll
			}
			return nil
		})
		if err != nil || found != "" {
			return found, err
		}
	}
	return "", nil
}
