package cli_test

import (
	"context"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"n3x/internal/cli"
	"n3x/internal/sandbox"
)

// main runs the program under the name it was called by and exits with its status.
func main() { os.Exit(cli.Main(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr)) }

func TestMain(m *testing.M) {
	sandbox.Main()
	testscript.Main(m, map[string]func(){"n3x": main, "kas-build": main, "bitbake": main, "bitbake-getvar": main, "bitbake-diffsigs": main, "bitbake-dumpsig": main, "n3x-repo": main})
}

// The scripts drive the whole program, up to where it would need the network: command lines, kas files, metadata.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			return nil
		},
		Condition: func(cond string) (bool, error) {
			return cond == "userns" && sandboxed(), nil
		},
	})
}

// sandboxed reports whether this host lets the tests enter a sandbox, which everything that reads metadata needs.
func sandboxed() bool {
	err := (&sandbox.Cmd{Host: true, Argv: []string{"unshare", "-Um", "true"}}).Run(context.Background())
	return err == nil
}
