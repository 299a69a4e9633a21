package rootfs

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"n3x/internal/sandbox"
)

// TestMain runs the tests inside the namespace that this room works in. Under the names dpkg and sh the test program is what
// hand-made packages bring along as these: see fake_test.go.
func TestMain(m *testing.M) {
	sandbox.Main()
	if fake, ok := map[string]func([]string) int{"dpkg": fakeDpkg, "sh": fakeShell}[filepath.Base(os.Args[0])]; ok {
		os.Exit(fake(os.Args[1:]))
	}
	inside, status, err := sandbox.Enter()
	if err != nil {
		fmt.Fprintln(os.Stderr, "enter the sandbox:", err)
		os.Exit(1)
	}
	if !inside {
		os.Exit(status)
	}
	os.Exit(m.Run())
}
