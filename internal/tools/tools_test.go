package tools

import (
	"fmt"
	"os"
	"testing"

	"n3x/internal/sandbox"
)

// Unpacking sets owners, so the tests run as root of a user namespace, like the program.
func TestMain(m *testing.M) {
	sandbox.Main()
	inside, status, err := sandbox.Enter()
	if err != nil {
		fmt.Fprintln(os.Stderr, "skipped: user namespaces are not available:", err)
		os.Exit(0)
	}
	if !inside {
		os.Exit(status)
	}
	os.Exit(m.Run())
}
