// SPDX-License-Identifier: MIT

package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"n3x/internal/disk/fstree"
)

// setXattrs gives the inodes of a finished ext image the extended attributes that mke2fs leaves out: from an archive it
// takes file capabilities only.
func (fs FileSystem) setXattrs(ctx context.Context, path string, t *fstree.Tree) (err error) {
	var script, want []string
	var values []string
	defer func() {
		for _, v := range values {
			err = errors.Join(err, os.Remove(v))
		}
	}()
	for _, e := range t.Entries() {
		for _, x := range e.Xattrs {
			if x.Name == "security.capability" || e.LinkTo != "" {
				continue
			}
			if strings.ContainsAny(e.Path+x.Name, "\"\n") {
				return fmt.Errorf("/%q has the extended attribute %q: with such a name it cannot be set", e.Path, x.Name)
			}
			value := filepath.Join(filepath.Dir(path), fmt.Sprintf("xattr%d", len(values)))
			if err := os.WriteFile(value, x.Value, 0o600); err != nil {
				return err
			}
			values = append(values, value)
			script = append(script, fmt.Sprintf(`ea_set -f %s/%s "/%s" "%s"`, mountPoint, filepath.Base(value), e.Path, x.Name),
				fmt.Sprintf(`ea_list "/%s"`, e.Path))
			want = append(want, x.Name+" (")
		}
	}
	if len(script) == 0 {
		return nil
	}
	return fs.debugfs(ctx, path, script, want)
}

// debugfs runs a script on the image. Whether its commands succeeded shows in what it prints only.
func (fs FileSystem) debugfs(ctx context.Context, path string, script, want []string) error {
	c := fs.command(path, []string{"e2fsprogs"}, "debugfs", "-w", "-f", "-", mountPoint+"/"+filepath.Base(path))
	c.Env = append(c.Env, fmt.Sprintf("E2FSPROGS_FAKE_TIME=%d", fs.Epoch), "DEBUGFS_PAGER=__none__")
	var out bytes.Buffer
	c.Stdin, c.Stdout = strings.NewReader(strings.Join(script, "\n")+"\n"), &out
	if err := fs.Runner.Run(ctx, c); err != nil {
		return err
	}
	for _, w := range want {
		if !strings.Contains(out.String(), w) {
			return fmt.Errorf("debugfs did not set the extended attribute %s", strings.TrimSuffix(w, " ("))
		}
	}
	return nil
}
