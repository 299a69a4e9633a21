// SPDX-License-Identifier: MIT

package disk_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"n3x/internal/disk"
)

// toolsTree is a folder with e2fsprogs, libarchive13t64, dosfstools, squashfs-tools, fdisk, gdisk, systemd-boot-efi and
// grub-efi-amd64-bin of trixie unpacked into it. Tests that need real mkfs programs are skipped without one.
func toolsTree(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("N3X_TEST_TOOLS")
	if dir == "" {
		t.Skip("N3X_TEST_TOOLS names no tools tree")
	}
	return dir
}

// treeRunner runs programs of a tools tree by the tree's own dynamic loader, so that no root is needed.
type treeRunner struct{ tree string }

func (r treeRunner) Run(ctx context.Context, c disk.Command) error {
	argv := append([]string(nil), c.Argv...)
	for i := range argv {
		for _, b := range c.Binds {
			if argv[i] == b.Target || strings.HasPrefix(argv[i], b.Target+"/") {
				argv[i] = b.Source + strings.TrimPrefix(argv[i], b.Target)
			}
		}
		if strings.HasPrefix(argv[i], "/usr/lib/systemd/") {
			argv[i] = r.tree + argv[i]
		}
	}
	if argv[0] == "grub-mkimage" {
		for i, a := range argv {
			if a == "-O" {
				argv = append(argv, "-d", r.tree+"/usr/lib/grub/"+argv[i+1])
			}
		}
	}
	program := ""
	for _, dir := range []string{"usr/sbin", "usr/bin"} {
		if p := filepath.Join(r.tree, dir, argv[0]); program == "" {
			if _, err := os.Stat(p); err == nil {
				program = p
			}
		}
	}
	if program == "" {
		return fmt.Errorf("no program %s in %s", argv[0], r.tree)
	}
	libs := r.tree + "/usr/lib/x86_64-linux-gnu:" + r.tree + "/lib/x86_64-linux-gnu"
	args := append([]string{"--library-path", libs, program}, argv[1:]...)
	cmd := exec.CommandContext(ctx, filepath.Join(r.tree, "lib64/ld-linux-x86-64.so.2"), args...)
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "MKE2FS_CONFIG=" + r.tree + "/etc/mke2fs.conf"}, c.Env...)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, &out, &out
	if argv[0] == "debugfs" && c.Stdin != nil { // its script names files
		script, err := io.ReadAll(c.Stdin)
		if err != nil {
			return err
		}
		cmd.Stdin = strings.NewReader(strings.ReplaceAll(string(script), c.Binds[0].Target+"/", c.Binds[0].Source+"/"))
	}
	if c.Stdout != nil {
		cmd.Stdout = c.Stdout
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", argv[0], err, out.String())
	}
	return nil
}

// run runs a checking program of the tools tree and fails the test when it finds something.
func (r treeRunner) check(t testing.TB, argv ...string) string {
	t.Helper()
	var out bytes.Buffer
	if err := r.Run(context.Background(), disk.Command{Argv: argv, Stdout: &out}); err != nil {
		t.Errorf("%s: %v\n%s", strings.Join(argv, " "), err, out.String())
	}
	return out.String()
}
