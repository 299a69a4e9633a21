package metadata

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"n3x/internal/arch"
	"n3x/internal/bitbake/pyeval"
	"n3x/internal/fetch"
	"n3x/internal/sandbox"
)

// functions are those of BitBake's fetcher that metadata calls while it is parsed.
func functions() map[string]pyeval.Func {
	return map[string]pyeval.Func{
		"bb.fetch.get_checksum_file_list":  checksumFiles,
		"bb.fetch2.get_checksum_file_list": checksumFiles,
	}
}

// checksumFiles lists the files of SRC_URI that lie in layers, as "path:True", for do_fetch[file-checksums].
func checksumFiles(_ context.Context, s pyeval.Site, _ []any, _ map[string]any) (any, error) {
	uri, _, err := s.Vars.Var("SRC_URI", true)
	if err != nil {
		return nil, err
	}
	path, _, err := s.Vars.Var("FILESPATH", true)
	if err != nil {
		return nil, err
	}
	f, err := fetch.New(fetch.Options{FilesPath: strings.Split(path, ":")})
	if err != nil {
		return nil, err
	}
	// Others need not be complete yet: their revisions are looked for when they are fetched.
	words := slices.DeleteFunc(strings.Fields(uri), func(w string) bool { return !strings.HasPrefix(w, "file:") })
	sources, err := fetch.ParseSources(fetch.Request{SrcURI: strings.Join(words, " "), Pos: s.Pos})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, src := range sources {
		if src.Scheme != "file" {
			continue
		}
		for dir := range strings.SplitSeq(path, ":") {
			s.Observe(pyeval.LookedAtType, filepath.Join(dir, src.Path))
		}
		found, err := f.Local(src)
		if err != nil {
			out = append(out, src.Path+":False") // do_fetch says what is missing, and where it was looked for
			continue
		}
		out = append(out, found+":True")
	}
	return strings.Join(out, " "), nil
}

// runner runs the programs that metadata starts while it is read, on the host and where it asks for it, as BitBake does.
// Debian's architecture of this machine is known without dpkg, which not every host has.
func runner(host arch.Arch) func(context.Context, pyeval.Command) (pyeval.Result, error) {
	return func(ctx context.Context, c pyeval.Command) (pyeval.Result, error) {
		if asksForArchitecture(c) {
			return pyeval.Result{Stdout: []byte(string(host) + "\n")}, nil
		}
		argv := c.Args
		if argv == nil {
			argv = []string{"/bin/sh", "-c", c.Shell}
		}
		program, err := lookPath(argv[0], c.Env["PATH"])
		if err != nil {
			return pyeval.Result{}, err
		}
		var stdout, stderr bytes.Buffer
		cmd := &sandbox.Cmd{Host: true, Argv: append([]string{program}, argv[1:]...), Dir: c.Dir, Env: []string{},
			Stdin: bytes.NewReader(c.Stdin), Stdout: &stdout, Stderr: &stderr}
		if c.Merge { // into one file, so that the order is that of writing
			both, err := os.CreateTemp("", "n3x-output-")
			if err != nil {
				return pyeval.Result{}, err
			}
			defer both.Close()
			defer os.Remove(both.Name())
			cmd.Stdout, cmd.Stderr = both, both
		}
		for _, name := range slices.Sorted(maps.Keys(c.Env)) {
			cmd.Env = append(cmd.Env, name+"="+c.Env[name])
		}
		err = cmd.Run(ctx)
		if both, ok := cmd.Stdout.(*os.File); ok {
			if _, err := stdout.ReadFrom(io.NewSectionReader(both, 0, math.MaxInt64)); err != nil {
				return pyeval.Result{}, err
			}
		}
		result := pyeval.Result{Stdout: stdout.Bytes(), Stderr: stderr.Bytes()}
		var exit *sandbox.ExitError
		if errors.As(err, &exit) {
			result.Status = exit.Status
			if exit.Signal != 0 {
				result.Status = -int(exit.Signal)
			}
			return result, nil
		}
		return result, err
	}
}

func asksForArchitecture(c pyeval.Command) bool {
	words := c.Args
	if words == nil {
		words = strings.Fields(c.Shell)
	}
	return slices.Equal(words, []string{"dpkg", "--print-architecture"})
}

// lookPath finds a program as execvpe does with the given PATH.
func lookPath(name, path string) (string, error) {
	missing := &fs.PathError{Op: "exec", Path: name, Err: syscall.ENOENT}
	if strings.Contains(name, "/") {
		if _, err := os.Stat(name); err != nil {
			return "", missing
		}
		return name, nil
	}
	for dir := range strings.SplitSeq(cmp.Or(path, "/bin:/usr/bin"), ":") {
		file := filepath.Join(cmp.Or(dir, "."), name)
		if st, err := os.Stat(file); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", missing
}
