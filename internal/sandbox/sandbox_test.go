package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// modeVar makes the test binary play a part instead of running the tests: see parts in parts_test.go.
const modeVar = "N3X_SANDBOX_TEST_PART"

// outsideVar names a directory that the process outside makes, for what only it can see afterwards.
const outsideVar = "N3X_SANDBOX_TEST_OUTSIDE"

func TestMain(m *testing.M) {
	Main()
	if part := os.Getenv(modeVar); part != "" {
		play(part)
	}
	os.Exit(enterAndTest(m))
}

// enterAndTest runs the tests inside, and outside compares what they left with what was there before.
func enterAndTest(m *testing.M) int {
	nested := os.Getenv(outsideVar) != ""
	if !nested {
		dir, err := os.MkdirTemp("", "n3x-sandbox-outside-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		os.Setenv(outsideVar, dir)
		os.Setenv("TMPDIR", dir) // so that a mount of ours on the host shows by its place
	}
	before := ownMountLines()
	inside, status, err := Enter()
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "enter a user namespace:", err)
		return 1
	case inside:
		return m.Run()
	}
	if after := ownMountLines(); after != before {
		fmt.Fprintf(os.Stderr, "mounts of the host changed from\n%s\nto\n%s\n", before, after)
		status = 1
	}
	if err := checkOutside(os.Getenv(outsideVar)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	return status
}

// ownMountLines are the lines of the mount table that tests could have made: other programs mount too.
func ownMountLines() string {
	var lines strings.Builder
	for line := range strings.Lines(readFile("/proc/self/mountinfo")) {
		switch point := strings.Fields(line)[4]; {
		case strings.HasPrefix(point, os.Getenv(outsideVar)+"/"), slices.Contains([]string{"/", "/proc", "/sys", "/dev", "/tmp", "/run", "/mnt"}, point):
			lines.WriteString(line)
		}
	}
	return lines.String()
}

// checkOutside compares the owner of TestIDs' file with what /etc/subuid says.
func checkOutside(dir string) error {
	var s unix.Stat_t
	if err := unix.Stat(filepath.Join(dir, "owned-by-33"), &s); err != nil {
		return nil // that test did not run
	}
	uid, gid := 33, 33
	if os.Geteuid() != 0 {
		maps, err := helpers()
		if err != nil {
			return err
		}
		uid, gid = maps[0].ranges[1].Outside+32, maps[1].ranges[1].Outside+32
	}
	if int(s.Uid) != uid || int(s.Gid) != gid {
		return fmt.Errorf("a file of 33:33 inside is owned by %d:%d outside, want %d:%d", s.Uid, s.Gid, uid, gid)
	}
	return nil
}

func readFile(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func TestIDs(t *testing.T) {
	dir := os.Getenv(outsideVar)
	file := filepath.Join(dir, "owned-by-33")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(file, 33, 33); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() != 0 || os.Getgid() != 0 {
		t.Errorf("inside, the ids are %d:%d, want 0:0", os.Getuid(), os.Getgid())
	}
	// Root of a nested container may have fewer.
	for _, id := range []int{1, 999, 65534, 65535} {
		if err := os.Chown(file, id, id); err != nil {
			t.Errorf("chown to %d: %v", id, err)
		}
	}
	if err := os.Chown(file, 33, 33); err != nil {
		t.Fatal(err)
	}
	if v, set := os.LookupEnv(stageVar); set {
		t.Errorf("%s=%s is left in the environment", stageVar, v)
	}
}
