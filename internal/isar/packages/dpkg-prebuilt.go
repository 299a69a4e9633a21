package packages

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"n3x/internal/debian/deb"
	"n3x/internal/diag"
	"n3x/internal/isar"
)

// checkPrebuilt makes sure that a recipe brought packages, and that they are whole.
func checkPrebuilt(_ context.Context, c *isar.Call) error {
	list, err := debs(c)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return diag.Userf(c.Pos, "%s has no .deb file among its sources", c.Recipe).WithHint("name one in SRC_URI, e.g. `SRC_URI = \"file://hello_1.0_amd64.deb\"`")
	}
	for _, path := range list {
		d, err := deb.OpenFile(path)
		if err != nil {
			return diag.Userf(c.Pos, "%s: %w", filepath.Base(path), err)
		}
		p, err := d.Package()
		d.Close()
		if err != nil {
			return diag.Userf(c.Pos, "%s: %w", filepath.Base(path), err)
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.Log, "%s: %s %s, %d bytes\n", filepath.Base(path), p.Name, p.Version, info.Size())
	}
	return nil
}
