package repo

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const churnVariable, stageVariable = "N3X_TEST_CHURN", "N3X_TEST_STAGE"

// TestChurn is what TestKilled starts and kills: it changes a repository without end.
func TestChurn(t *testing.T) {
	dir := os.Getenv(churnVariable)
	if dir == "" {
		t.Skip("run by TestKilled")
	}
	r, err := New(Options{Dir: dir + "/apt", DB: dir + "/db", Codename: "isar"})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		change(t, r, func(c *Change) error {
			if i%5 == 4 {
				c.Remove(fmt.Sprintf("p%d", i%3), "all")
			}
			return addDeb(c, filepath.Join(dir, fmt.Sprintf("p%d-%d.deb", i%3, i%2)), "o") // the same version with other content
		})
	}
}

// TestStage is what TestKilledBefore starts: it prepares a change and is gone.
func TestStage(t *testing.T) {
	dir := os.Getenv(stageVariable)
	if dir == "" {
		t.Skip("run by TestKilledBefore")
	}
	r, err := New(Options{Dir: dir + "/apt", DB: dir + "/db", Codename: "isar"})
	if err != nil {
		t.Fatal(err)
	}
	change(t, r, func(c *Change) error {
		if err := addDeb(c, filepath.Join(dir, "q.deb"), "o"); err != nil {
			return err
		}
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	})
}

// A change that was killed before it was published leaves files that the next one removes, even one that changes nothing;
// a change that fails leaves none.
func TestKilledBefore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := copyFile(makeDeb(t, "qq", "1.0", "all", "content"), filepath.Join(dir, "q.deb")); err != nil {
		t.Fatal(err)
	}
	r, err := New(Options{Dir: dir + "/apt", DB: dir + "/db", Codename: "isar"})
	if err != nil {
		t.Fatal(err)
	}
	change(t, r, func(c *Change) error { return addDeb(c, makeDeb(t, "pp", "1.0", "all", "content"), "o") })
	left := func() []string {
		var out []string
		for _, pattern := range []string{"apt/pool/main/q/*/.*", "db/changing"} {
			found, _ := filepath.Glob(filepath.Join(dir, pattern))
			out = append(out, found...)
		}
		return out
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestStage$")
	cmd.Env = append(os.Environ(), stageVariable+"="+dir)
	if out, err := cmd.CombinedOutput(); err == nil || len(left()) != 2 {
		t.Fatalf("%v, %q: %s", err, left(), out)
	}
	if got := check(t, r.o.Dir); len(got) != 1 {
		t.Errorf("the repository has %v", got)
	}
	change(t, r, func(*Change) error { return nil })
	if left := left(); len(left) > 0 {
		t.Errorf("left behind by a killed change: %q", left)
	}
	fault := errors.New("fault")
	err = r.Change(func(c *Change) error {
		return errors.Join(addDeb(c, filepath.Join(dir, "q.deb"), "o"), fault)
	})
	if !errors.Is(err, fault) {
		t.Error(err)
	}
	if left := left(); len(left) > 0 {
		t.Errorf("left behind by a failed change: %q", left)
	}
	if got := check(t, r.o.Dir); len(got) != 1 {
		t.Errorf("the repository has %v", got)
	}
}

// TestKilled kills a process that changes a repository, at some point, and reads what it has left: always a whole repository.
func TestKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 6 {
		from := makeDeb(t, fmt.Sprintf("p%d", i%3), "1.0", "all", fmt.Sprint("content ", i))
		if err := copyFile(from, filepath.Join(dir, fmt.Sprintf("p%d-%d.deb", i%3, i%2))); err != nil {
			t.Fatal(err)
		}
	}
	r, err := New(Options{Dir: dir + "/apt", DB: dir + "/db", Codename: "isar"})
	if err != nil {
		t.Fatal(err)
	}
	change(t, r, func(*Change) error { return nil })
	for round := range 12 {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestChurn$")
		cmd.Env = append(os.Environ(), churnVariable+"="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(60+17*round) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		cmd.Wait() //nolint:errcheck // it was killed
		check(t, r.o.Dir)
	}
	change(t, r, func(c *Change) error { return addDeb(c, filepath.Join(dir, "p0-0.deb"), "o") })
	check(t, r.o.Dir)
	for _, pattern := range []string{"apt/dists/.*", "apt/pool/main/p/*/.*", "db/changing"} {
		if left, _ := filepath.Glob(filepath.Join(dir, pattern)); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	}
}

// A change that was cut short after it had exchanged a file, but not its entry: the entry of the old file goes.
func TestCutShort(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, err := New(Options{Dir: dir + "/apt", DB: dir + "/db", Codename: "isar"})
	if err != nil {
		t.Fatal(err)
	}
	old, fresh := makeDeb(t, "pp", "1.0", "all", "content 1"), makeDeb(t, "pp", "1.0", "all", "content 2")
	change(t, r, func(c *Change) error { return addDeb(c, old, "o") })
	pool := filepath.Join(dir, "apt/pool/main/p/pp/pp_1.0_all.deb")
	a, err := os.Stat(pool)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.Stat(fresh); err != nil || a.Size() != b.Size() {
		t.Fatalf("the test needs packages of one size: %d, %v", a.Size(), err)
	}
	if err := os.Remove(pool); err != nil {
		t.Fatal(err)
	}
	if err := copyFile(fresh, pool); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.journal(), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	change(t, r, func(*Change) error { return nil })
	if got := check(t, r.o.Dir); len(got) != 0 {
		t.Errorf("the repository has %v", got)
	}
	change(t, r, func(c *Change) error { return addDeb(c, fresh, "o") })
	if got := check(t, r.o.Dir); len(got) != 1 {
		t.Errorf("the repository has %v", got)
	}
}
