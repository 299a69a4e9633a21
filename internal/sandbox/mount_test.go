package sandbox

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// programs are the host's, bound into an otherwise empty root: what links a merged /usr has are made in root.
func programs(t *testing.T, root string) []Mount {
	t.Helper()
	var mounts []Mount
	for _, dir := range []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix"} {
		link, err := os.Readlink(dir)
		if err == nil {
			if err := os.Symlink(link, root+dir); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if _, err := os.Stat(dir); err == nil {
			mounts = append(mounts, Mount{Type: BindRO, Source: dir, Target: dir})
		}
	}
	return mounts
}

// files writes a tree: "dir/" is a directory, "a -> b" a link, "x" a file that holds its own name.
func files(t *testing.T, root string, names ...string) string {
	t.Helper()
	for _, name := range names {
		link, to, isLink := strings.Cut(name, " -> ")
		p := filepath.Join(root, link)
		err := os.MkdirAll(filepath.Dir(p), 0o755)
		switch {
		case err != nil:
		case isLink:
			err = os.Symlink(to, p)
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(p, 0o755)
		default:
			err = os.WriteFile(p, []byte(filepath.Base(name)), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// listing is every path below root with its type, owner and modification time.
func listing(t *testing.T, root string) []string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		var s unix.Stat_t
		if err == nil {
			err = unix.Lstat(p, &s)
		}
		rel, _ := filepath.Rel(root, p)
		lines = append(lines, fmt.Sprintf("%s %o %d:%d %d.%d", rel, s.Mode, s.Uid, s.Gid, s.Mtim.Sec, s.Mtim.Nsec))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestRoot(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	mounts := append(programs(t, root), System()...)
	files(t, root, "file")
	past := time.Unix(1000000000, 7)
	if err := os.Chtimes(root, past, past); err != nil {
		t.Fatal(err)
	}
	before := listing(t, root)
	c := shell("ls -A /; echo; cat file; mount | cut -d' ' -f3 | grep -vE '^/(usr|nix|lib)' | sort -u | head -2; test -d /proc/1 && test -w /tmp && test ! -w /usr")
	c.Root, c.Mounts = root, mounts
	out := output(t, c)
	for _, want := range []string{"proc\n", "tmp\n", "dev\n", "usr\n", "\nfile/"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q has no %q", out, want)
		}
	}
	if strings.Contains(out, "home\n") {
		t.Errorf("the host's /home shows in %q", out)
	}
	if diff := cmp.Diff(before, listing(t, root)); diff != "" {
		t.Errorf("the root changed:\n%s", diff)
	}
	c.Argv = []string{"sh", "-c", "echo new > /etc-file; mkdir /tmp/gone; echo kept > /srv/kept; touch /mnt-file/x"}
	c.Mounts = append(c.Mounts, Mount{Type: Tmpfs, Target: "/a/b/c"}, Mount{Type: Tmpfs, Target: "/mnt-file"})
	files(t, root, "srv/")
	output(t, c)
	var names []string
	for _, l := range listing(t, root) {
		if n := strings.Fields(l)[0]; !strings.HasPrefix(n, "lib") && !strings.HasSuffix(n, "bin") {
			names = append(names, n)
		}
	}
	if diff := cmp.Diff([]string{".", "etc-file", "file", "srv", "srv/kept"}, names); diff != "" {
		t.Errorf("the root holds:\n%s", diff)
	}
}

func TestFailedRootIsUndone(t *testing.T) {
	t.Parallel()
	root := files(t, t.TempDir(), "file", "loop -> loop")
	before := listing(t, root)
	for _, target := range []string{"/new/dir/in/here", "/file/below", "/loop/x"} {
		c := shell("exit 0")
		c.Root, c.Mounts = root, []Mount{{Type: Tmpfs, Target: "/one/two"}, {Type: Bind, Source: root + "/file", Target: "/three"}, {Type: Tmpfs, Target: target}}
		if err := c.Run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "run sh -c 'exit 0': ") {
			t.Errorf("%s: %v", target, err)
		}
		if diff := cmp.Diff(before, listing(t, root)); diff != "" {
			t.Errorf("the root changed:\n%s", diff)
		}
	}
}

func TestOverlayRoot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bottom, top := dir+"/bottom: with, \\ strange", dir+"/top"
	files(t, bottom, "both", "deleted", "dir/replaced", "owned")
	mounts := programs(t, bottom)
	files(t, top, "top")
	if err := os.WriteFile(top+"/both", []byte("top's"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(bottom+"/owned", 33, 44); err != nil {
		t.Fatal(err)
	}
	files(t, dir, "upper/", "work/")
	before := listing(t, bottom)
	c := shell(`cat both top; rm deleted; rm -r dir; mkdir dir; echo x > dir/new; stat -c %u:%g owned; echo y >> owned
		chown 5:6 top; setcap cap_net_raw+ep top 2>/dev/null; touch -d @1000000000 dir/new; ln -s new link`)
	c.Mounts = append([]Mount{{Type: Overlay, Target: "/", Lower: []string{bottom, top}, Upper: dir + "/upper", Work: dir + "/work"}}, mounts...)
	if out := output(t, c); out != "top'stop33:44" {
		t.Errorf("printed %q", out)
	}
	if diff := cmp.Diff(before, listing(t, bottom)); diff != "" {
		t.Errorf("the lower directory changed:\n%s", diff)
	}
	var s unix.Stat_t
	if err := unix.Lstat(dir+"/upper/deleted", &s); err != nil || s.Mode&unix.S_IFMT != unix.S_IFCHR || s.Rdev != 0 {
		t.Errorf("no whiteout: %v, mode %o", err, s.Mode)
	}
	if err := unix.Lstat(dir+"/upper/owned", &s); err != nil || s.Uid != 33 || s.Gid != 44 {
		t.Errorf("owner %d:%d, %v", s.Uid, s.Gid, err)
	}
	opaque := make([]byte, 8)
	if n, err := unix.Lgetxattr(dir+"/upper/dir", "user.overlay.opaque", opaque); err != nil || string(opaque[:n]) != "y" {
		t.Errorf("dir is not opaque: %q, %v", opaque[:n], err)
	}
	// The result as a layer below another, read-only: and the same upper and work directories a second time.
	c = shell("ls dir; cat owned; stat -c %u:%g top; test ! -e deleted; (echo no > file) 2>&1 | grep -o 'Read-only.*'; mkdir /tmp/x")
	c.Mounts = append([]Mount{{Type: Overlay, Target: "/", Lower: []string{bottom, top, dir + "/upper"}}, {Type: Tmpfs, Target: "/tmp"}}, mounts...)
	before = listing(t, dir)
	if out := output(t, c); out != "new\nownedy\n5:6\nRead-only file system" {
		t.Errorf("printed %q", out)
	}
	if diff := cmp.Diff(before, listing(t, dir)); diff != "" {
		t.Errorf("a read-only root changed:\n%s", diff)
	}
	c.Argv[2] = "echo again > again"
	c.Mounts[0] = Mount{Type: Overlay, Target: "/", Lower: []string{bottom, top}, Upper: dir + "/upper", Work: dir + "/work"}
	for range 3 {
		output(t, c)
	}
	if got := readFile(dir + "/upper/again"); got != "again\n" {
		t.Errorf("upper holds %q", got)
	}
	if entries, _ := os.ReadDir(dir + "/upper/tmp"); len(entries) > 0 {
		t.Errorf("the mount point in upper holds %v", entries)
	}
}

func TestOverlayWithoutLower(t *testing.T) {
	t.Parallel()
	dir := files(t, t.TempDir(), "upper/", "work/")
	mounts := programs(t, dir+"/upper")
	c := shell("echo x > first")
	c.Mounts = append([]Mount{{Type: Overlay, Target: "/", Upper: dir + "/upper", Work: dir + "/work"}}, mounts...)
	output(t, c)
	if got := readFile(dir + "/upper/first"); got != "x\n" {
		t.Errorf("upper holds %q", got)
	}
}

func TestOverlayBelowRoot(t *testing.T) {
	t.Parallel()
	dir := files(t, t.TempDir(), "a/one", "b/two", "upper/", "work/")
	for want, m := range map[string]Mount{
		"one\ntwo\nread-only": {Lower: []string{dir + "/a", dir + "/b"}},
		"one\nread-only":      {Lower: []string{dir + "/a"}},
		"two\nwritable":       {Lower: []string{dir + "/b"}, Upper: dir + "/upper", Work: dir + "/work"},
	} {
		m.Type, m.Target = Overlay, "/mnt"
		c := shell("ls /mnt; (echo > /mnt/x) 2>/dev/null && echo writable || echo read-only")
		c.Mounts = []Mount{m}
		if got := output(t, c); got != want {
			t.Errorf("printed %q, want %q", got, want)
		}
	}
	if got := readFile(dir + "/upper/x"); got != "\n" {
		t.Errorf("upper holds %q", got)
	}
}

func TestManyLayers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var lower []string
	for i := range 400 {
		lower = append(lower, files(t, fmt.Sprintf("%s/a-layer-with-quite-a-long-name-%d", dir, i), fmt.Sprintf("f%d", i), "same"))
		if err := os.WriteFile(lower[i]+"/same", fmt.Append(nil, i), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c := shell("ls /mnt | wc -l; cat /mnt/same")
	c.Mounts = []Mount{{Type: Overlay, Target: "/mnt", Lower: lower}}
	if got := output(t, c); got != "401\n399" {
		t.Errorf("printed %q", got)
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	root := files(t, t.TempDir(), "etc/resolv.conf -> ../run/resolve/stub", "run/", "var/run -> /run", "abs -> /etc/passwd-like", "evil -> /../../../../etc")
	mounts := programs(t, root)
	source := files(t, t.TempDir(), "resolv", "dir/inside")
	c := shell("cat /run/resolve/stub /run/x/inside /etc/passwd-like /etc/secret")
	c.Root = root
	c.Mounts = append(mounts,
		Mount{Type: BindRO, Source: source + "/resolv", Target: "/etc/resolv.conf"},
		Mount{Type: Bind, Source: source + "/dir", Target: "/var/run/x"},
		Mount{Type: Bind, Source: source + "/resolv", Target: "/abs"},
		Mount{Type: Bind, Source: source + "/resolv", Target: "/evil/secret"},
	)
	before := listing(t, root)
	if got := output(t, c); got != "resolvinsideresolvresolv" {
		t.Errorf("printed %q", got)
	}
	if diff := cmp.Diff(before, listing(t, root)); diff != "" {
		t.Errorf("the root changed:\n%s", diff)
	}
}

func TestBind(t *testing.T) { // not in parallel: it mounts in this process
	dir := files(t, t.TempDir(), "ro/file", "rw/file", "sub/deep/file", "ro/below/")
	c := shell(`echo 1 > /mnt/rw/new
		(echo 1 > /mnt/ro/new) 2>/dev/null && echo "written to ro"
		(echo 1 > /mnt/ro/below/new) 2>/dev/null && echo "written below ro"
		cat /mnt/ro/below/deep/file; exit 0`)
	// The mount below ro is made here, by this process, so that it is part of what is bound.
	if err := unix.Mount(dir+"/sub", dir+"/ro/below", "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Unmount(dir+"/ro/below", unix.MNT_DETACH) }()
	c.Mounts = []Mount{{Type: Tmpfs, Target: "/mnt"}, {Type: BindRO, Source: dir + "/ro", Target: "/mnt/ro"}, {Source: dir + "/rw", Target: "/mnt/rw"}}
	if got := output(t, c); got != "file" {
		t.Errorf("printed %q", got)
	}
	if got := readFile(dir + "/rw/new"); got != "1\n" {
		t.Errorf("rw holds %q", got)
	}
}

func TestSystem(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	c := shell(`ls /dev | sort | tr '\n' ' '; echo
		head -c 3 /dev/zero | wc -c; echo x > /dev/null; head -c 9 /dev/urandom | wc -c; (echo x > /dev/full) 2>/dev/null || echo full
		ls /sys/firmware 2>/dev/null | wc -l; (echo x > /sys/power/state) 2>/dev/null || echo read-only
		stat -c %a /tmp /run /dev/shm /dev/pts/ptmx; ls -l /dev/ptmx | sed 's/.*-> //'; echo x > /dev/stdout; echo y > /dev/fd/1; touch /dev/shm/z /tmp/z /run/z`)
	c.Root, c.Mounts = root, append(programs(t, root), System()...)
	want := `fd full null ptmx pts random shm stderr stdin stdout tty urandom zero
3
9
full
0
read-only
1777
755
1777
666
pts/ptmx
x
y`
	if diff := cmp.Diff(want, strings.ReplaceAll(output(t, c), " \n", "\n")); diff != "" {
		t.Error(diff)
	}
}

func TestPipesOfAnotherUser(t *testing.T) {
	t.Parallel()
	c := shell("echo x > /dev/stdout; echo y > /dev/stderr; cat /dev/stdin")
	c.UID, c.GID, c.Mounts, c.Stdin = 1000, 1000, System(), strings.NewReader("z")
	if got := output(t, c); got != "x\nz" {
		t.Errorf("printed %q", got)
	}
}

// TestSetuid holds that programs inside may still change their user: su and sudo do.
func TestSetuid(t *testing.T) {
	t.Parallel()
	id := output(t, shell("readlink -f $(command -v id)"))
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c := shell("cp " + id + " /mnt/id; chown 5 /mnt/id; chmod 4755 /mnt/id; su -s /bin/sh nobody -c '/mnt/id -u; /mnt/id -ru'")
	c.Mounts = []Mount{{Source: dir, Target: "/mnt"}, {Type: Proc, Target: "/proc"}}
	if got := output(t, c); got != "5\n65534" {
		t.Errorf("printed %q", got)
	}
}

func TestNoFileSystemForUpper(t *testing.T) {
	t.Parallel()
	dir := files(t, t.TempDir(), "lower/", "merged/")
	c := shell("exit 0")
	c.Mounts = []Mount{{Type: Overlay, Target: "/mnt", Lower: []string{dir + "/lower"}, Upper: "/proc/self", Work: "/proc/self"}}
	if err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "needs a local filesystem such as ext4") {
		t.Errorf("got %v", err)
	}
}

func TestRemove(t *testing.T) { // not in parallel: it mounts in this process
	dir := t.TempDir()
	tree := files(t, dir+"/tree", "a/b/c", "a/link -> /etc", "foreign")
	for p, owner := range map[string]int{"foreign": 33, "a/b": 1000, "a": 65534} {
		if err := os.Chown(filepath.Join(tree, p), owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{"a/b", "a"} {
		if err := os.Chmod(filepath.Join(tree, p), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mount("tmpfs", tree+"/a/b", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	if err := Remove(tree); err == nil || !strings.HasSuffix(err.Error(), "/a/b is a mount point") {
		t.Errorf("with a mount: %v", err)
	}
	if err := unix.Unmount(tree+"/a/b", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(tree + "/a/b/c"); err != nil {
		t.Errorf("something was removed: %v", err)
	}
	files(t, dir, "to -> tree")
	if err := Remove(dir + "/to"); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := Remove(tree); err != nil {
			t.Error(err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	for _, p := range []string{"", "/", "/usr/.."} {
		if err := Remove(p); err == nil {
			t.Errorf("removed %q", p)
		}
	}
}

// TestRemoveUnwritable is Remove without the powers of root.
func TestRemoveUnwritable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := part(t, "remove /mnt/dir/tree")
	c.UID, c.GID = 1000, 1000
	c.Mounts = []Mount{{Type: Tmpfs, Target: "/mnt"}, {Source: dir, Target: "/mnt/dir"}, {Type: BindRO, Source: c.Argv[0], Target: "/mnt/program"}}
	c.Argv[0] = "/mnt/program"
	tree := files(t, dir+"/tree", "a/b/c", "d")
	for _, p := range []string{"a/b/c", "a/b", "a", "d", ""} {
		if err := os.Chown(filepath.Join(tree, p), 1000, 1000); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(tree, p), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	output(t, c)
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestMountOverlay(t *testing.T) { // not in parallel: it mounts in this process
	dir := files(t, t.TempDir(), "lower:1,2/one", "lower2/two", "upper/", "work/", "merged/")
	mounts := programs(t, dir+"/lower2")
	at, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	m := Mount{Type: Overlay, Lower: []string{dir + "/lower:1,2", dir + "/lower2"}, Upper: dir + "/upper", Work: dir + "/work", Target: dir + "/merged"}
	for range 2 {
		if err := MountOverlay(m); err != nil {
			t.Fatal(err)
		}
		if got := readFile(dir+"/merged/one") + readFile(dir+"/merged/two"); got != "onetwo" {
			t.Errorf("read %q", got)
		}
		c := shell("echo new > new")
		c.Root = dir + "/merged"
		c.Mounts = mounts
		output(t, c)
		if err := unix.Unmount(dir+"/merged", 0); err != nil {
			t.Error(err)
		}
	}
	if got := readFile(dir + "/upper/new"); got != "new\n" {
		t.Errorf("upper holds %q", got)
	}
	if after, _ := os.Getwd(); after != at {
		t.Errorf("the working directory became %s", after)
	}
	m.Target = dir + "/missing"
	if err := MountOverlay(m); err == nil || !strings.HasSuffix(err.Error(), "missing: no such file or directory") {
		t.Errorf("got %v", err)
	}
}
