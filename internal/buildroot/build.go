package buildroot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"n3x/internal/arch"
	"n3x/internal/debian"
	"n3x/internal/diag"
	"n3x/internal/rootfs"
	"n3x/internal/sandbox"
)

// Run says how a source is built in a root.
type Run struct {
	Source      *Source
	Build, Host arch.Arch
	Profiles    []string
	Indep       bool     // packages for all architectures too
	Env         []string // further environment of dpkg-buildpackage, "NAME=value"
	Path        string   // put before PATH, e.g. "/usr/lib/ccache"
	Mounts      []sandbox.Mount
	Network     bool
	Stall       time.Duration // without output after which the build is ended; 0 waits
	Scratch     string        // folder for the throw-away layer, on the file system of Results; its parent must exist
	Results     string        // folder that receives the packages
	Log         io.Writer
}

// place is where sources are built, as their build paths must not depend on this machine.
const place = "/build"

// dir is the folder that the source is unpacked below, and tree the unpacked source.
func (r Run) dir() string { return place + "/" + r.Source.Name }
func (r Run) tree() string {
	return r.dir() + "/" + r.Source.Name + "-" + upstream(string(r.Source.Version))
}

// upstream is a version without epoch and Debian revision.
func upstream(full string) string {
	version := debian.Version(full).WithoutEpoch()
	if i := strings.LastIndexByte(version, '-'); i >= 0 {
		version = version[:i]
	}
	return version
}

// script unpacks the source package and builds it; its arguments are the .dsc, the tree, and dpkg-buildpackage's arguments.
const script = `set -e
dpkg-source -x "$1" "$2"
cd "$2"
shift 2
echo "$ dpkg-buildpackage $*"
exec dpkg-buildpackage "$@"
`

// Do builds the source in the root below and returns the files that it made, which are in r.Results.
func (r Run) Do(ctx context.Context, below rootfs.Stack) ([]string, error) {
	if err := r.Source.CheckFiles(); err != nil {
		return nil, err
	}
	if err := os.Mkdir(r.Scratch, 0o755); err != nil {
		return nil, err
	}
	defer sandbox.Remove(r.Scratch)
	s, err := newSession(below, r.Scratch)
	if err != nil {
		return nil, err
	}
	if err := s.bring(r.Source, r.dir()); err != nil {
		return nil, err
	}
	cmd := s.command(append([]string{"/bin/sh", "-c", script, "sh", r.Source.Files[0], r.tree()}, r.arguments()...)...)
	cmd.Dir, cmd.UID, cmd.GID = r.dir(), builderID, builderID
	if r.Network {
		useNetwork(cmd)
	}
	cmd.Mounts = append(cmd.Mounts, r.Mounts...)
	cmd.Env = r.environment()
	if err := r.watch(ctx, cmd); err != nil {
		return nil, err
	}
	return s.collect(r.dir(), r.Results, r.Source)
}

// arguments are those of dpkg-buildpackage.
func (r Run) arguments() []string {
	args := []string{"--sanitize-env"}
	if r.Build != r.Host {
		args = append(args, "-a"+string(r.Host))
	}
	if len(r.Profiles) > 0 {
		args = append(args, "-P"+strings.Join(r.Profiles, ","))
	}
	kind := "-B"
	if r.Indep {
		kind = "-b"
	}
	return append(args, "-us", "-uc", kind, "-rfakeroot")
}

const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/games"

func (r Run) environment() []string {
	path := searchPath
	if r.Path != "" {
		path = r.Path + ":" + path
	}
	env := append(userEnvironment(), "HOME=/sbuild-nonexistent", "PATH="+path)
	if r.Build != r.Host {
		env = append(env, "CONFIG_SITE=/etc/dpkg-cross/cross-config."+string(r.Host))
	}
	return append(env, r.Env...)
}

func userEnvironment() []string {
	return []string{"LANG=C.UTF-8", "LC_ALL=C.UTF-8", "USER=" + builder, "LOGNAME=" + builder, "SHELL=/bin/sh", "TERM=dumb"}
}

// watch runs cmd and ends it when it has written nothing for too long.
func (r Run) watch(ctx context.Context, cmd *sandbox.Cmd) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out := newPulse(r.Log)
	cmd.Stdout, cmd.Stderr = out, out
	if r.Stall > 0 {
		stop := out.watch(r.Stall, func() {
			cancel(diag.Failedf(diag.Pos{}, "the build of %s has written nothing for %s and was ended", r.Source.Name, minutes(r.Stall)).
				WithHint("set DPKG_BUILD_TIMEOUT to more minutes in the recipe if the build may be silent for longer"))
		})
		defer stop()
	}
	err := cmd.Run(ctx)
	var stalled *diag.Error
	if errors.As(context.Cause(ctx), &stalled) {
		return stalled
	}
	var exit *sandbox.ExitError
	if errors.As(err, &exit) {
		return &diag.Error{Kind: diag.Failed, Text: fmt.Sprintf("the build of %s %s failed%s", r.Source.Name, r.Source.Version, strings.TrimPrefix(exit.Error(), exit.Name)), Err: err}
	}
	return err
}

func minutes(d time.Duration) string {
	if d%time.Minute == 0 {
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return d.String()
}

// collect moves what the build made from the folder dir of the root to results, owned by root like all files of a build.
func (s *session) collect(dir, results string, source *Source) ([]string, error) {
	from := filepath.Join(s.upper, dir)
	entries, err := os.ReadDir(from)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if !e.Type().IsRegular() || slices.Contains(source.Files, e.Name()) || !isResult(e.Name()) {
			continue
		}
		path := filepath.Join(from, e.Name())
		if err := errors.Join(os.Chown(path, 0, 0), os.Chmod(path, 0o644)); err != nil {
			return nil, err
		}
		to := filepath.Join(results, e.Name())
		if err := os.Rename(path, to); err != nil {
			return nil, err
		}
		out = append(out, to)
	}
	if !slices.ContainsFunc(out, func(p string) bool { return filepath.Ext(p) == ".deb" || filepath.Ext(p) == ".udeb" }) {
		return out, diag.Userf(diag.Pos{File: source.Path}, "the build of %s succeeded, but made no package", source.Name).
			WithHint("look at Architecture and Build-Profiles of its packages in debian/control")
	}
	return out, nil
}

// isResult tells the files that dpkg-buildpackage makes from others that a build may leave beside its tree.
func isResult(name string) bool {
	switch filepath.Ext(name) {
	case ".deb", ".udeb", ".ddeb", ".changes", ".buildinfo":
		return true
	}
	return false
}
