package repo

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"n3x/internal/debian"
	"n3x/internal/debian/deb"
)

// recorded reads what reprepro wrote; see testdata/reprepro/README.
func recorded(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata/reprepro", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func newRepo(t *testing.T, o Options) *Repository {
	t.Helper()
	dir := t.TempDir()
	o.Dir, o.DB = filepath.Join(dir, "apt/debian-trixie"), filepath.Join(dir, "db/debian-trixie")
	if o.Codename == "" {
		o.Codename = "isar"
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func change(t *testing.T, r *Repository, f func(c *Change) error) {
	t.Helper()
	if err := r.Change(f); err != nil {
		t.Fatal(err)
	}
}

func addDeb(c *Change, path, owner string) error {
	d, err := ReadDeb(path)
	if err != nil {
		return err
	}
	return c.Add(d, owner)
}

// makeDeb writes a small package; content makes two of one version differ.
func makeDeb(t testing.TB, name, version, arch, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name+"_"+debian.Version(version).WithoutEpoch()+"_"+arch+".deb")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: m <m@e.org>\nDescription: d\n", name, version, arch)
	err = deb.Write(f, deb.Contents{
		Control: []deb.ControlFile{{Name: "control", Mode: 0o644, Data: []byte(control)}},
		Data: []deb.Entry{{Header: tar.Header{Name: "./usr/share/" + name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))},
			Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func (r *Repository) text(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(r.dist(), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// check reads the repository as a client does: what Release lists is there, also by hash, and every file that an index
// names is in the pool with its size and hash. It gives the names of the packages of amd64.
func check(t *testing.T, dir string) []string {
	t.Helper()
	list, err := listedIn(filepath.Join(dir, "dists/isar"))
	if err != nil || len(list) < 21 {
		t.Fatalf("Release lists %d files: %v", len(list), err)
	}
	for name, hash := range list {
		path := filepath.Join(dir, "dists/isar", name)
		for _, p := range []string{path, filepath.Join(filepath.Dir(path), "by-hash/SHA256", hash)} {
			if s, err := sumFile(p); err != nil || s.sha256 != hash {
				t.Fatalf("%s is not as Release says: %v", p, err)
			}
		}
	}
	var names []string
	for _, arch := range []string{"amd64", "arm64"} {
		f, err := os.Open(filepath.Join(dir, "dists/isar/main/binary-"+arch+"/Packages"))
		if err != nil {
			t.Fatal(err)
		}
		stanzas, err := deb.ReadStanzas("Packages", f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range stanzas {
			p, err := deb.ParsePackage(st)
			if err != nil {
				t.Fatal(err)
			}
			s, err := sumFile(filepath.Join(dir, p.Filename))
			if err != nil || s.sha256 != p.SHA256 || s.size != p.Size || s.md5 != st.Field("MD5sum") || s.sha1 != st.Field("SHA1") {
				t.Fatalf("%s is not what Packages says: %v", p.Filename, err)
			}
			if arch == "amd64" {
				names = append(names, p.Name+" "+string(p.Version))
			}
		}
	}
	return names
}

func TestLikeReprepro(t *testing.T) {
	t.Parallel()
	fields := []Field{{"Origin", "o"}, {"Label", "l"}, {"Suite", "s"}, {"Version", "7"}, {"Description", "a b"}, {"NotAutomatic", "yes"},
		{"ButAutomaticUpgrades", "yes"}, {"ValidFor", "2m"}}
	r := newRepo(t, Options{Fields: fields, Date: time.Date(2026, 11, 27, 12, 25, 36, 0, time.UTC)})
	change(t, r, func(c *Change) error {
		for _, name := range []string{"foo_1.0-1_all.deb", "libbar1_2.0_arm64.deb"} {
			if err := addDeb(c, filepath.Join("testdata/reprepro", name), "x"); err != nil {
				return err
			}
		}
		s, err := ReadSource("testdata/reprepro/hello_1.0.dsc")
		if err != nil {
			return err
		}
		return c.AddSource(s, "x")
	})
	for got, want := range map[string]string{"main/binary-arm64/Packages": "Packages", "main/source/Sources": "Sources", "main/binary-arm64/Release": "Release-arm64"} {
		if d := cmp.Diff(recorded(t, want), r.text(t, got)); d != "" {
			t.Errorf("%s (-reprepro +here):\n%s", got, d)
		}
	}
	// Here indices can be had by their hash, and Packages.gz has other bytes.
	uncompressed := func(text string) string {
		var out []string
		for line := range strings.Lines(text) {
			if !strings.HasSuffix(line, ".gz\n") && line != "Acquire-By-Hash: yes\n" {
				out = append(out, line)
			}
		}
		return strings.Join(out, "")
	}
	if d := cmp.Diff(uncompressed(recorded(t, "Release")), uncompressed(r.text(t, "Release"))); d != "" {
		t.Errorf("Release (-reprepro +here):\n%s", d)
	}
	for _, file := range []string{"pool/main/f/foo/foo_1.0-1_all.deb", "pool/main/libb/libbar/libbar1_2.0_arm64.deb", "pool/main/h/hello/hello_1.0.dsc",
		"pool/main/h/hello/hello_1.0.tar.xz", "conf/distributions"} {
		if _, err := os.Stat(filepath.Join(r.o.Dir, file)); err != nil {
			t.Error(err)
		}
	}
	check(t, r.o.Dir)
}

func TestReplacing(t *testing.T) {
	t.Parallel()
	r := newRepo(t, Options{})
	step := func(want string, f func(c *Change) error) {
		t.Helper()
		change(t, r, f)
		if d := cmp.Diff(want, strings.Join(check(t, r.o.Dir), ", ")); d != "" {
			t.Error(d)
		}
	}
	keep := func(names ...string) func(string, string) bool {
		return func(name, _ string) bool { return strings.Contains(" "+strings.Join(names, " ")+" ", " "+name+" ") }
	}
	step("foo 2.0", func(c *Change) error { return addDeb(c, makeDeb(t, "foo", "2.0", "all", "a"), "recipe") })
	step("foo 1:1.0", func(c *Change) error { return addDeb(c, makeDeb(t, "foo", "1:1.0", "all", "a"), "recipe") })
	step("foo 1.0", func(c *Change) error { return addDeb(c, makeDeb(t, "foo", "1.0", "all", "a"), "recipe") }) // a downgrade, in the same file
	step("foo 1.0", func(c *Change) error { return addDeb(c, makeDeb(t, "foo", "1.0", "all", "other"), "recipe") })
	step("bar 1.0", func(c *Change) error { // renamed
		c.Retain("recipe", "deb", keep("bar"))
		return addDeb(c, makeDeb(t, "bar", "1.0", "amd64", "a"), "recipe")
	})
	step("bar 1.0", func(c *Change) error { return addDeb(c, makeDeb(t, "bar", "1.0", "amd64", "a"), "second") })
	step("bar 1.0", func(c *Change) error { c.Retain("recipe", "deb", keep()); return nil })
	step("", func(c *Change) error { c.Retain("second", "deb", keep()); return nil })
	if left, _ := filepath.Glob(filepath.Join(r.o.Dir, "pool/*")); len(left) > 0 {
		t.Errorf("the pool still has %v", left)
	}
}

// TestFailedChange checks that a change that fails leaves neither files nor entries.
func TestFailedChange(t *testing.T) {
	t.Parallel()
	r := newRepo(t, Options{})
	change(t, r, func(c *Change) error { return addDeb(c, makeDeb(t, "foo", "1.0", "all", "a"), "") })
	before := tree(t, r.o.Dir)
	for _, bad := range []func(c *Change) error{
		func(c *Change) error { return addDeb(c, makeDeb(t, "bar", "1.0", "sparc", "a"), "") },
		func(c *Change) error { return io.ErrUnexpectedEOF },
	} {
		err := r.Change(func(c *Change) error {
			c.Remove("foo", "all")
			if err := addDeb(c, makeDeb(t, "new", "1.0", "all", "a"), ""); err != nil {
				return err
			}
			return bad(c)
		})
		if err == nil {
			t.Fatal("the change succeeded")
		}
	}
	change(t, r, func(*Change) error { return nil })
	os.Remove(filepath.Join(r.o.Dir, "pool/main/n/new"))
	os.Remove(filepath.Join(r.o.Dir, "pool/main/n"))
	if d := cmp.Diff(before, tree(t, r.o.Dir)); d != "" {
		t.Error(d)
	}
}

func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			fmt.Fprintf(&b, "%s %v %d %d\n", path, info.Mode(), info.Size(), info.ModTime().UnixNano()*int64(boolInt(info.Mode().IsRegular())))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestReadersDuringChanges reads without pause, as a client does by hash, while packages come, change and go.
func TestReadersDuringChanges(t *testing.T) {
	t.Parallel()
	r := newRepo(t, Options{})
	change(t, r, func(c *Change) error { return addDeb(c, makeDeb(t, "stay", "1.0", "all", "a"), "") })
	stop := make(chan struct{})
	var readers, writers errgroup.Group
	reads := 0
	readers.Go(func() error {
		for {
			select {
			case <-stop:
				return nil
			default:
			}
			if err := readByHash(r.o.Dir); err != nil {
				return err
			}
			reads++
		}
	})
	for w := range 2 {
		writers.Go(func() error {
			for i := range 25 {
				name := fmt.Sprintf("p%d-%d", w, i%3)
				path := makeDeb(t, name, fmt.Sprint(1+i%2), "all", strings.Repeat("x", i))
				if err := r.Change(func(c *Change) error { return addDeb(c, path, "") }); err != nil {
					return err
				}
			}
			return nil
		})
	}
	werr := writers.Wait()
	close(stop)
	if err := errors.Join(werr, readers.Wait()); err != nil {
		t.Fatal(err)
	}
	if reads < 10 {
		t.Errorf("only %d reads", reads)
	}
	if names := check(t, r.o.Dir); len(names) != 7 {
		t.Errorf("the repository has %q", names)
	}
}

// readByHash reads Release, then an index by its hash, then the files of packages that do not change.
func readByHash(dir string) error {
	list, err := listedIn(filepath.Join(dir, "dists/isar"))
	if err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(dir, "dists/isar/main/binary-amd64/by-hash/SHA256", list["main/binary-amd64/Packages"]))
	if err != nil {
		return err
	}
	stanzas, err := deb.ReadStanzas("Packages", bytes.NewReader(data))
	if err != nil {
		return err
	}
	for _, st := range stanzas {
		if st.Field("Package") == "stay" {
			_, err := os.Stat(filepath.Join(dir, st.Field("Filename")))
			return err
		}
	}
	return fmt.Errorf("the package that stays is missing in %d packages", len(stanzas))
}

func TestDamage(t *testing.T) {
	t.Parallel()
	r := newRepo(t, Options{})
	change(t, r, func(c *Change) error {
		for _, n := range []string{"aa", "bb", "cc"} {
			if err := addDeb(c, makeDeb(t, n, "1.0", "all", "a"), "owner"); err != nil {
				return err
			}
		}
		return nil
	})
	nothing := func(*Change) error { return nil }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Remove(filepath.Join(r.o.Dir, "pool/main/a/aa/aa_1.0_all.deb")))
	change(t, r, nothing)
	if d := cmp.Diff([]string{"bb 1.0", "cc 1.0"}, check(t, r.o.Dir)); d != "" {
		t.Errorf("a file that was removed is still listed: %s", d)
	}
	must(os.RemoveAll(filepath.Join(r.o.Dir, "dists")))
	change(t, r, nothing)
	check(t, r.o.Dir)
	for _, text := range []string{"", "n3x repository 2\n", stateMagic + "deb x\n", stateMagic + "deb a 1 all 1 99999\npool/x 1 0\nshort"} {
		must(os.WriteFile(r.stateFile(), []byte(text), 0o644))
		must(os.WriteFile(filepath.Join(r.o.Dir, "pool/main/b/bb/.bb_1.0_all.deb.new"), []byte("half"), 0o644))
		must(os.WriteFile(filepath.Join(r.o.Dir, "pool/main/b/bb/half_1.0_all.deb"), []byte("half"), 0o644))
		must(os.MkdirAll(filepath.Join(r.o.Dir, "dists/.isar.new/main"), 0o755))
		change(t, r, nothing)
		if d := cmp.Diff([]string{"bb 1.0", "cc 1.0"}, check(t, r.o.Dir)); d != "" {
			t.Errorf("database %q: %s", text, d)
		}
		if left, _ := filepath.Glob(filepath.Join(r.o.Dir, "pool/main/b/bb/*")); len(left) != 1 {
			t.Errorf("the pool still has %q", left)
		}
		if left, _ := filepath.Glob(filepath.Join(r.o.Dir, "pool/main/b/bb/.*")); len(left) != 0 {
			t.Errorf("the pool still has %q", left)
		}
		if _, err := os.Stat(filepath.Join(r.o.Dir, "dists/.isar.new")); err == nil {
			t.Error("a half-made dists folder is still there")
		}
	}
}

func TestViewStays(t *testing.T) {
	t.Parallel()
	r := newRepo(t, Options{})
	change(t, r, func(c *Change) error { return addDeb(c, makeDeb(t, "foo", "1.0", "all", "a"), "") })
	view := filepath.Join(t.TempDir(), "view")
	for range 2 {
		if err := r.View(view); err != nil {
			t.Fatal(err)
		}
	}
	change(t, r, func(c *Change) error { return addDeb(c, makeDeb(t, "foo", "1.0", "all", "bbb"), "") })
	change(t, r, func(c *Change) error { c.Remove("foo", "all"); return nil })
	if d := cmp.Diff([]string{"foo 1.0"}, check(t, view)); d != "" {
		t.Error(d)
	}
}

func TestBadPackages(t *testing.T) {
	t.Parallel()
	good := makeDeb(t, "foo", "1.0", "all", "a")
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{"", "no package", string(data[:100]), string(data[:len(data)-70])} {
		path := filepath.Join(t.TempDir(), "bad.deb")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		d, err := ReadDeb(path)
		if i < 3 && err == nil {
			t.Errorf("%d bytes were taken for a package: %v", len(text), d)
		}
	}
	for _, name := range []string{"../x", "a/b", "", ".x"} {
		if err := checkName(name); err == nil {
			t.Errorf("%q was taken for a name", name)
		}
	}
	if _, err := New(Options{Dir: "x", DB: "y", Codename: "z", Fields: []Field{{"Orgin", "o"}}}); err == nil || !strings.Contains(err.Error(), "Orgin") {
		t.Errorf("a mistyped field: %v", err)
	}
}

func TestBadSource(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dsc, err := os.ReadFile("testdata/reprepro/hello_1.0.dsc")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "hello_1.0.dsc")
	if err := os.WriteFile(path, dsc, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSource(path); err == nil || !strings.Contains(err.Error(), "hello_1.0.tar.xz") {
		t.Errorf("a missing tarball: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "hello_1.0.tar.xz"), []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSource(path); err == nil || !strings.Contains(err.Error(), "5 bytes") {
		t.Errorf("another tarball: %v", err)
	}
}

// BenchmarkAddOne adds one package to a repository of 400.
func BenchmarkAddOne(b *testing.B) {
	dir := b.TempDir()
	r, err := New(Options{Dir: dir + "/apt", DB: dir + "/db", Codename: "isar"})
	if err != nil {
		b.Fatal(err)
	}
	err = r.Change(func(c *Change) error {
		for i := range 400 {
			if err := addDeb(c, makeDeb(b, fmt.Sprintf("package%d", i), "1.0", "amd64", "a"), "o"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	debs := []string{makeDeb(b, "one", "1.0", "amd64", "a"), makeDeb(b, "one", "1.1", "amd64", "a")}
	i := 0
	for b.Loop() {
		i++
		if err := r.Change(func(c *Change) error { return addDeb(c, debs[i%2], "o") }); err != nil {
			b.Fatal(err)
		}
	}
}

// TestImport checks that the newest versions are taken, that what was read is not read again, and that files which are no
// packages do no harm.
func TestImport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(from, name string) {
		t.Helper()
		if err := copyFile(from, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	put(makeDeb(t, "foo", "2.0", "amd64", "a"), "foo_2.0_amd64.deb")
	put(makeDeb(t, "foo", "1:1.0", "amd64", "a"), "foo_1%3a1.0_amd64.deb")
	put(makeDeb(t, "foo", "1.0", "amd64", "a"), "foo_1.0_amd64.deb")
	put("testdata/reprepro/hello_1.0.dsc", "hello_1.0.dsc")
	put("testdata/reprepro/hello_1.0.tar.xz", "hello_1.0.tar.xz")
	put("testdata/reprepro/README", "broken_1_all.deb")
	if err := os.MkdirAll(filepath.Join(dir, "partial"), 0o755); err != nil {
		t.Fatal(err)
	}
	put("testdata/reprepro/README", "partial/half_1_all.deb")
	r := newRepo(t, Options{})
	var warnings []string
	imported := func() string {
		t.Helper()
		o := ImportOptions{Dirs: []string{dir, filepath.Join(dir, "missing")}, Warn: func(s string) { warnings = append(warnings, s) },
			Override: func(p *debian.Package) { p.Priority, p.Section = "required", "over" }}
		if err := r.Import(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		return strings.Join(check(t, r.o.Dir), ", ")
	}
	if got := imported(); got != "foo 1:1.0" {
		t.Errorf("the repository has %q", got)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "broken_1_all.deb") {
		t.Errorf("warnings: %q", warnings)
	}
	if text := r.text(t, "main/binary-amd64/Packages"); !strings.Contains(text, "\nPriority: required\nSection: over\n") {
		t.Errorf("priority and section are not the archive's:\n%s", text)
	}
	if !strings.Contains(r.text(t, "main/source/Sources"), "Package: hello\n") {
		t.Error("the source package is missing")
	}
	a, err1 := os.Stat(filepath.Join(dir, "foo_1%3a1.0_amd64.deb"))
	b, err2 := os.Stat(filepath.Join(r.o.Dir, "pool/main/f/foo/foo_1.0_amd64.deb"))
	if err1 != nil || err2 != nil || !os.SameFile(a, b) {
		t.Errorf("the file was copied: %v %v", err1, err2)
	}
	before := tree(t, r.o.Dir)
	imported()
	if d := cmp.Diff(before, tree(t, r.o.Dir)); d != "" || len(warnings) != 1 {
		t.Errorf("importing again changed something: %s %q", d, warnings)
	}
	put(makeDeb(t, "bar", "1.0", "all", "a"), "bar_1.0_all.deb")
	if got := imported(); got != "bar 1.0, foo 1:1.0" {
		t.Errorf("the repository has %q", got)
	}
}
