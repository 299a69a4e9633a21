package fetch

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"

	"n3x/internal/diag"
	"n3x/internal/sandbox"
)

// HostGit runs the host's git.
type HostGit struct {
	Env []string // the user's environment, "NAME=value"; nil is this process's
}

// Git runs git with args in the folder dir; env is added to the environment. A git that ran is no error, whatever its
// exit status.
func (h HostGit) Git(ctx context.Context, dir string, env []string, args ...string) (stdout, stderr string, status int, err error) {
	if _, err := sandbox.LookPath("git"); err != nil {
		return "", "", 0, diag.Userf(diag.Pos{}, "git is not installed, and a repository has to be fetched or asked").WithHint("sudo apt-get install git (or your distribution's package of that name)")
	}
	var out, diagnostics bytes.Buffer
	cmd := sandbox.Cmd{Argv: append([]string{"git"}, args...), Dir: dir, Host: true, Stdout: &out, Stderr: &diagnostics, KeepSync: true}
	if h.Env != nil {
		cmd.Env = gitEnv(h.Env, env)
	} else {
		cmd.Argv = append(inheritedEnv(env), cmd.Argv...)
	}
	err = cmd.Run(ctx)
	var exit *sandbox.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		status, err = exit.Status, nil
	}
	return out.String(), diagnostics.String(), status, err
}

// notForGit would point git at another repository (they are set when n3x runs in a git hook), or change its language.
var notForGit = []string{"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
	"GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_PREFIX", "GIT_GRAFT_FILE", "GIT_SHALLOW_FILE", "LC_ALL", "LANGUAGE"}

// inheritedEnv runs a program with this process's environment, changed as gitEnv does.
func inheritedEnv(more []string) []string {
	argv := []string{"env"}
	for _, name := range notForGit {
		argv = append(argv, "-u", name)
	}
	return append(append(argv, "LC_ALL=C"), more...)
}

// gitEnv is base without what is not for git, with messages in English, and with more on top.
func gitEnv(base, more []string) []string {
	env := make([]string, 0, len(base)+len(more)+1)
	for _, kv := range base {
		if name, _, _ := strings.Cut(kv, "="); !slices.Contains(notForGit, name) {
			env = append(env, kv)
		}
	}
	return append(append(env, "LC_ALL=C"), more...)
}
