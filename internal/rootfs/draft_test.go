package rootfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"n3x/internal/diag"
)

func rendered(err error) string {
	var b strings.Builder
	diag.Render(&b, "n3x", err)
	return b.String()
}

// put makes files below root: a name that ends in "/" is a directory, a text that begins with "->" a symbolic link.
func put(t *testing.T, root string, files ...string) {
	t.Helper()
	for i := 0; i < len(files); i += 2 {
		name, text := filepath.Join(root, files[i]), files[i+1]
		err := os.MkdirAll(filepath.Dir(name), 0o755)
		switch target, link := strings.CutPrefix(text, "->"); {
		case strings.HasSuffix(files[i], "/"):
			err = errors.Join(err, os.MkdirAll(name, 0o755))
		case link:
			err = errors.Join(err, os.Symlink(target, name))
		default:
			err = errors.Join(err, os.WriteFile(name, []byte(text), 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// overlay mounts layers as the kernel sees them, writable with an upper directory.
func overlay(t *testing.T, lower []string, upper string) string {
	t.Helper()
	at, work := t.TempDir(), t.TempDir()
	top := slices.Clone(lower)
	slices.Reverse(top)
	data := "userxattr,lowerdir=" + strings.Join(top, ":")
	if upper != "" {
		// t.TempDir's are on one filesystem.
		data += ",upperdir=" + upper + ",workdir=" + work
	}
	if err := unix.Mount("overlay", at, "overlay", 0, data); err != nil {
		t.Skipf("no overlayfs on %s: %v", at, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(at, 0); err != nil {
			t.Error(err)
		}
	})
	return at
}

// TestStackIsWhatTheKernelSees builds layers through real overlay mounts and compares what both find in them.
func TestStackIsWhatTheKernelSees(t *testing.T) {
	bottom := t.TempDir()
	put(t, bottom, "usr/bin/tool", "old", "bin", "->usr/bin", "etc/gone", "x", "etc/kept", "kept", "etc/conf.d/a", "a", "opaque/hidden", "x",
		"abs", "->/etc/kept", "up/link", "->../../etc/kept", "dangling", "->nowhere", "loop", "->loop", "file-then-dir", "x", "dir-then-file/x", "x")
	middle, upper := t.TempDir(), t.TempDir()
	change(t, overlay(t, []string{bottom}, middle), func(root string) {
		put(t, root, "usr/bin/tool", "new", "etc/conf.d/b", "b")
		must(t, os.Remove(filepath.Join(root, "etc/gone")), os.RemoveAll(filepath.Join(root, "opaque")), os.Remove(filepath.Join(root, "file-then-dir")),
			os.RemoveAll(filepath.Join(root, "dir-then-file")))
		put(t, root, "opaque/seen", "y", "file-then-dir/in", "z", "dir-then-file", "f")
	})
	put(t, upper, "etc/gone", "back")
	stack := Stack{bottom, middle, upper}
	merged := overlay(t, stack, "")
	count := 0
	must(t, filepath.WalkDir(merged, func(p string, e fs.DirEntry, err error) error {
		must(t, err)
		count++
		name, _ := filepath.Rel(merged, p)
		info, err := stack.Lstat(name)
		if err != nil || info.Mode() != must1(e.Info()).Mode() {
			t.Errorf("Lstat(%s): %v, %v", name, info, err)
		}
		if e.IsDir() {
			var want []string
			for _, sub := range must1(os.ReadDir(p)) {
				want = append(want, sub.Name())
			}
			if got, err := stack.ReadDir(name); err != nil || !slices.Equal(got, want) {
				t.Errorf("ReadDir(%s) = %v, %v, want %v", name, got, err, want)
			}
		} else if e.Type() == 0 {
			if got, err := stack.ReadFile(name); err != nil || string(got) != string(must1(os.ReadFile(p))) {
				t.Errorf("ReadFile(%s) = %q, %v", name, got, err)
			}
		}
		return nil
	}))
	if count < 20 {
		t.Errorf("only %d files compared", count)
	}
	for name, want := range map[string]string{"/bin/tool": "new", "abs": "kept", "up/link": "kept", "opaque/../../etc/gone": "back"} {
		if got, err := stack.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("ReadFile(%s) = %q, %v, want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"opaque/hidden", "dangling", "etc/kept/x", "dir-then-file/x", "no/such"} {
		if _, err := stack.ReadFile(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("ReadFile(%s): %v", name, err)
		}
	}
	if _, err := stack.ReadFile("loop"); !errors.Is(err, unix.ELOOP) {
		t.Errorf("ReadFile(loop): %v", err)
	}
}

func change(t *testing.T, root string, f func(string)) {
	t.Helper()
	f(root)
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestNormalise(t *testing.T) {
	bottom, upper := t.TempDir(), t.TempDir()
	own, epoch := time.Unix(1600000000, 0), time.Unix(1700000000, 0)
	put(t, bottom, "copied", "x", "replaced", "x", "gone", "x", "dir/sub/deep", "x")
	for _, name := range []string{"copied", "replaced", "dir/sub/deep"} {
		must(t, os.Chtimes(filepath.Join(bottom, name), own, own))
	}
	change(t, overlay(t, []string{bottom}, upper), func(root string) {
		must(t, os.Chmod(filepath.Join(root, "copied"), 0o600), os.Chmod(filepath.Join(root, "dir/sub/deep"), 0o600), os.Remove(filepath.Join(root, "gone")))
		put(t, root, "replaced", "y", "packaged", "p", "changed", "p", "link", "->packaged", "new/file", "z")
		must(t, os.Chtimes(filepath.Join(root, "packaged"), own, own))
	})
	keep := times{"packaged": own, "changed": own}
	must(t, normalise(upper, Stack{bottom}, epoch, keep))
	for name, want := range map[string]time.Time{"copied": own, "dir/sub/deep": own, "packaged": own, "replaced": epoch, "changed": epoch,
		"link": epoch, "new": epoch, "new/file": epoch, "dir": epoch, "dir/sub": epoch, ".": epoch, "gone": epoch} {
		if info, err := os.Lstat(filepath.Join(upper, name)); err != nil || !info.ModTime().Equal(want) {
			t.Errorf("%s: %v, %v, want %v", name, info.ModTime(), err, want)
		}
		for note := range strings.SplitSeq(xattrs(t, filepath.Join(upper, name)), ",") {
			if note != "" && !strings.HasPrefix(note, "user.overlay.opaque=") {
				t.Errorf("%s has attribute %s", name, note)
			}
		}
	}
	// The layer still is what it was.
	merged := overlay(t, []string{bottom, upper}, "")
	if _, err := os.Lstat(filepath.Join(merged, "gone")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("gone: %v", err)
	}
	if got := must1(os.ReadFile(filepath.Join(merged, "dir/sub/deep"))); string(got) != "x" {
		t.Errorf("dir/sub/deep = %q", got)
	}
}

func TestScrub(t *testing.T) {
	root := t.TempDir()
	put(t, root, "etc/ssh/ssh_host_ed25519_key", "k", "etc/ssh/ssh_host_ed25519_key.pub", "k", "etc/ssh/sshd_config", "c",
		"run/lock/x", "l", "run/owned/y", "l", "tmp/a/b/c", "t", "var/log/dpkg.log", "l", "var/log/apt/history.log", "h", "var/log/apt/", "",
		"var/log/btmp", "b", "var/lib/dpkg/status", "s", "var/lib/dpkg/status-old", "s", "var/lib/dbus/machine-id", "->/etc/machine-id",
		"var/cache/ldconfig/aux-cache", "x")
	must(t, unix.Mknod(filepath.Join(root, "tmp/whiteout"), unix.S_IFCHR, 0))
	owned := map[string]bool{"run/owned": true, "var/log/apt": true}
	must(t, scrub(root, func(name string) bool { return owned[name] }))
	var left []string
	must(t, filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		name, _ := filepath.Rel(root, p)
		if !e.IsDir() || owned[name] || strings.HasPrefix(name, "tmp") || strings.HasPrefix(name, "run") {
			left = append(left, name)
		}
		return err
	}))
	want := []string{"etc/ssh/sshd_config", "run", "run/owned", "tmp", "tmp/whiteout", "var/lib/dbus/machine-id", "var/lib/dpkg/status", "var/log/apt", "var/log/btmp"}
	if diff := cmp.Diff(want, left); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

func TestShadowText(t *testing.T) {
	text := "root:*:20000:0:99999:7:::\nnew:!:20100:0:::::\nexpired:x:0:0:::::\nnone::::::::\nbroken\nlast:!*:20101::::::"
	before := map[string]bool{"root:*:20000:0:99999:7:::\n": true}
	want := "root:*:20000:0:99999:7:::\nnew:!:19000:0:::::\nexpired:x:0:0:::::\nnone::::::::\nbroken\nlast:!*:19000::::::"
	if diff := cmp.Diff(want, shadowText(text, before, [2]int64{20100, 20101}, 19000)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := shadowText(text, before, [2]int64{20000, 20000}, 19000); got != text {
		t.Errorf("a line from below with today's day was changed:\n%s", got)
	}
}

func TestCommitKeepsTheFirst(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "layer")
	first, second := must1(NewDraft(dir, nil)), must1(NewDraft(dir, nil))
	put(t, first.Root, "a", "1")
	put(t, second.Root, "a", "2")
	if _, err := first.Commit(packaged); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Commit(packaged); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second: %v", err)
	}
	second.Discard()
	if got := must1(os.ReadFile(filepath.Join(dir, "a"))); string(got) != "1" {
		t.Errorf("layer holds %q", got)
	}
	if entries := must1(os.ReadDir(filepath.Dir(dir))); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}
