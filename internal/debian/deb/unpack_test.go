package deb

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// own is a header with this process's owner, so that the tests need no root. more is content or link target.
func own(name string, typ byte, mode int64, more string) tar.Header {
	h := tar.Header{Name: name, Typeflag: typ, Mode: mode, Uid: os.Getuid(), Gid: os.Getgid(), ModTime: epoch, Format: tar.FormatPAX}
	if typ == tar.TypeReg {
		h.PAXRecords = map[string]string{"content": more}
	} else {
		h.Linkname = more
	}
	return h
}

func unpackInto(t *testing.T, root string, o UnpackOptions, headers ...tar.Header) error {
	t.Helper()
	d := mustOpen(t, ar(t, "debian-binary", "2.0\n", "control.tar", controlTar(t), "data.tar", tarball(t, headers...)))
	return d.Unpack(context.Background(), root, o)
}

// tree lists what is below root: mode, links, content or target, and whether the time is the package's.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		text := fmt.Sprintf("%06o", st.Mode)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" %d %s", st.Nlink, data)
		case unix.S_IFLNK:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			text += " " + target
		}
		if st.Mtim.Sec != epoch.Unix() {
			text += " (other time)"
		}
		all[path[len(root)+1:]] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestUnpack(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	var visited []string
	err := unpackInto(t, root, UnpackOptions{
		Exclude: func(name string) bool { return strings.HasPrefix(name, "usr/share/doc") },
		Visit:   func(name string, _ *tar.Header) { visited = append(visited, name) },
	},
		own("./", tar.TypeDir, 0o755, ""),
		own("./usr/", tar.TypeDir, 0o755, ""),
		own("./usr/bin/", tar.TypeDir, 0o755, ""),
		own("./usr/bin/su", tar.TypeReg, 0o4755, "root"),
		own("./usr/bin/alias", tar.TypeSymlink, 0o777, "/usr/bin/su"),
		own("./usr/bin/hard", tar.TypeLink, 0, "./usr/bin/su"),
		own("./usr/share/doc/x", tar.TypeReg, 0o644, "doc"),
		own("./forgotten/folder/f", tar.TypeReg, 0o600, ""),
		own("./run/pipe", tar.TypeFifo, 0o622, ""),
		own("./var/mail/", tar.TypeDir, 0o2775, ""),
	)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"usr": "040755", "usr/bin": "040755", "usr/bin/su": "104755 2 root", "usr/bin/hard": "104755 2 root",
		"usr/bin/alias": "120777 /usr/bin/su", "forgotten": "040755 (other time)", "forgotten/folder": "040755 (other time)",
		"forgotten/folder/f": "100600 1 ", "run": "040755 (other time)", "run/pipe": "010622", "var": "040755 (other time)", "var/mail": "042775",
	}
	if diff := cmp.Diff(want, tree(t, root)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if len(visited) != 9 || visited[0] != "." || visited[3] != "usr/bin/su" {
		t.Errorf("visited %q", visited)
	}
}

// What is there already is treated as dpkg treats it.
func TestUnpackOver(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	err := unpackInto(t, root, UnpackOptions{},
		own("usr/bin/", tar.TypeDir, 0o755, ""), own("bin", tar.TypeSymlink, 0, "usr/bin"), own("abs", tar.TypeSymlink, 0, "/usr/bin"),
		own("lib/", tar.TypeDir, 0o700, ""), own("old", tar.TypeReg, 0o644, "old"), own("dead", tar.TypeSymlink, 0, "nowhere"),
	)
	if err != nil {
		t.Fatal(err)
	}
	err = unpackInto(t, root, UnpackOptions{},
		own("bin/", tar.TypeDir, 0o700, ""), own("bin/a", tar.TypeReg, 0o755, "a"), own("abs/b", tar.TypeReg, 0o755, "b"),
		own("lib", tar.TypeSymlink, 0, "usr/lib"), own("lib/c", tar.TypeReg, 0o644, "c"),
		own("old", tar.TypeSymlink, 0, "new"), own("dead", tar.TypeReg, 0o644, "alive"),
		own("bin/l", tar.TypeLink, 0, "abs/b"),
	)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"usr": "040755 (other time)", "usr/bin": "040755 (other time)", "bin": "120777 usr/bin", "abs": "120777 /usr/bin",
		"usr/bin/a": "100755 1 a", "usr/bin/b": "100755 2 b", "usr/bin/l": "100755 2 b", "lib": "040700 (other time)", "lib/c": "100644 1 c",
		"old": "120777 new", "dead": "100644 1 alive",
	}
	if diff := cmp.Diff(want, tree(t, root)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Nothing that a package holds is written outside of root.
func TestUnpackHostile(t *testing.T) {
	t.Parallel()
	for want, headers := range map[string][]tar.Header{
		`"../evil" leaves the package`:      {own("../evil", tar.TypeReg, 0o644, "")},
		`"a/../../evil" leaves the package`: {own("a/../../evil", tar.TypeReg, 0o644, "")},
		`"../out" leaves the package`:       {own("in", tar.TypeLink, 0, "../out")},
		"open folder link":                  {own("link", tar.TypeSymlink, 0, "../outside"), own("link/evil", tar.TypeReg, 0o644, "")},
		"unpack abs/evil":                   {own("abs", tar.TypeSymlink, 0, "OUTSIDE"), own("abs/evil", tar.TypeReg, 0o644, "")},
		"hard link to etc/passwd":           {own("x", tar.TypeLink, 0, "/etc/passwd")},
		"a folder of that name is in":       {own("d/", tar.TypeDir, 0o755, ""), own("d", tar.TypeReg, 0o644, "")},
		"not a directory":                   {own("f", tar.TypeReg, 0o644, ""), own("f/g", tar.TypeReg, 0o644, "")},
		"too many levels":                   {own("loop", tar.TypeSymlink, 0, "loop"), own("loop/x", tar.TypeReg, 0o644, "")},
		"the top of the package is not":     {own(".", tar.TypeReg, 0o644, "")},
		`tar type '7' is not supported`:     {own("x", '7', 0o644, "")},
	} {
		top := t.TempDir()
		root, outside := filepath.Join(top, "root"), filepath.Join(top, "outside")
		for _, dir := range []string{root, outside} {
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for i := range headers {
			headers[i].Linkname = strings.ReplaceAll(headers[i].Linkname, "OUTSIDE", outside)
		}
		err := unpackInto(t, root, UnpackOptions{}, headers...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		if entries, _ := os.ReadDir(outside); len(entries) > 0 {
			t.Errorf("%s: wrote %v outside", want, entries)
		}
		if entries, _ := os.ReadDir(top); len(entries) != 2 {
			t.Errorf("%s: wrote outside: %v", want, entries)
		}
	}
}

func TestUnpackOwnersAndAttributes(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root may set owners")
	}
	root := t.TempDir()
	// cap_net_raw=ep, as setcap writes it on /usr/bin/ping.
	capability := "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	ping := own("ping", tar.TypeReg, 0o6755, "ping")
	ping.Uid, ping.Gid = 7, 42
	ping.PAXRecords["SCHILY.xattr.security.capability"] = capability
	link := own("link", tar.TypeSymlink, 0, "ping")
	link.Uid, link.Gid = 8, 43
	if err := unpackInto(t, root, UnpackOptions{}, ping, link); err != nil {
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EOPNOTSUPP) {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(root, "ping"), &st); err != nil || st.Uid != 7 || st.Gid != 42 || st.Mode&0o7777 != 0o6755 {
		t.Errorf("ping: %d:%d %o, %v", st.Uid, st.Gid, st.Mode, err)
	}
	if err := unix.Lstat(filepath.Join(root, "link"), &st); err != nil || st.Uid != 8 || st.Gid != 43 {
		t.Errorf("link: %d:%d, %v", st.Uid, st.Gid, err)
	}
	buf := make([]byte, 64)
	n, err := unix.Getxattr(filepath.Join(root, "ping"), "security.capability", buf)
	if err != nil || string(buf[:n]) != capability {
		t.Errorf("capability %x, %v", buf[:max(n, 0)], err)
	}
}

func TestUnpackCancelled(t *testing.T) {
	t.Parallel()
	d := mustOpen(t, mustWrite(t, demo()))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := d.Unpack(ctx, t.TempDir(), UnpackOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Unpack = %v", err)
	}
}
