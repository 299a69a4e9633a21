package isar

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"n3x/internal/arch"
	"n3x/internal/bitbake/datastore"
	"n3x/internal/diag"
	"n3x/internal/sandbox"
)

// maxDepth bounds functions that call each other by way of natives.
const maxDepth = 32

// Exec runs one function of the datastore, with its own cleandirs, dirs and umask.
func (c *Call) Exec(ctx context.Context, name string) error {
	flags, err := c.Data.VarFlags(name)
	if err != nil {
		return err
	}
	if _, isFunc := flags["func"]; !isFunc {
		return diag.Userf(c.Pos, "%s is called as a function but is not one", name).WithHint("define it as `%s() { ... }`, or correct the name", name)
	}
	if c.depth >= maxDepth {
		return diag.Userf(c.Pos, "function %s is called within itself", name)
	}
	sub := *c
	sub.depth++
	if err := sub.prepareDirs(name); err != nil {
		return err
	}
	// The flag says that the function starts programs of this architecture.
	foreign, err := sub.Flag(name, "n3x_emulate")
	if err != nil {
		return err
	}
	if err := sub.Emulate(ctx, arch.Arch(foreign)); err != nil {
		return err
	}
	if _, python := flags["python"]; python {
		return sub.python(ctx, name)
	}
	body, err := sub.Data.Value(name)
	if err != nil {
		return err
	}
	return sub.segments(ctx, name, segments(body))
}

// python runs a function in Python. The error of a function that it runs by bb.build.exec_func is told as it is, unless the
// Python around it has caught it: where the call stands in a class helps nobody.
func (c *Call) python(ctx context.Context, name string) error {
	var inner error
	err := c.Python.Exec(ctx, name, c.Data, func(ctx context.Context, function string, d *datastore.Data) error {
		sub := *c
		sub.Data = d
		err := sub.Exec(ctx, function)
		if err != nil {
			inner = err
		}
		return err
	})
	if inner != nil && errors.Is(err, inner) {
		return inner
	}
	return err
}

// segments runs the parts of a function's body in order. What a part in shell leaves in variables, and its folder, is
// there in the next; a part that returns ends the function.
func (c *Call) segments(ctx context.Context, name string, list []segment) error {
	c.carry = nil
	for i, s := range list {
		if s.native != nil {
			if err := c.native(ctx, s.native); err != nil {
				return err
			}
			continue
		}
		end, err := c.shell(ctx, name, i, s.text, i+1 < len(list))
		if err != nil || end {
			return err
		}
	}
	return nil
}

// NativesOf lists the Go functions that a function of the datastore calls; pure is false when it does other work too.
func (c *Call) NativesOf(name string) (natives []string, pure bool, err error) {
	flags, err := c.Data.VarFlags(name)
	if err != nil {
		return nil, false, err
	}
	if _, python := flags["python"]; python {
		return nil, false, nil
	}
	body, err := c.Data.Value(name)
	if err != nil {
		return nil, false, err
	}
	pure = true
	for _, s := range segments(body) {
		if s.native == nil {
			pure = false
			continue
		}
		natives = append(natives, s.native[0])
	}
	return natives, pure, nil
}

// segment is a run of shell lines, or one call of a native.
type segment struct {
	text   string
	native []string
}

// segments splits a function's body at its native calls. Lines that only comment or do nothing make no segment.
func segments(body string) []segment {
	var out []segment
	var lines []string
	flush := func() {
		if slices.ContainsFunc(lines, func(l string) bool { l = strings.TrimSpace(l); return l != "" && l != ":" && l[0] != '#' }) {
			out = append(out, segment{text: strings.Join(lines, "\n")})
		}
		lines = nil
	}
	for line := range strings.SplitSeq(body, "\n") {
		if words := strings.Fields(line); len(words) >= 2 && words[0] == "n3x_native" {
			flush()
			out = append(out, segment{native: words[1:]})
			continue
		}
		lines = append(lines, line)
	}
	flush()
	return out
}

func (c *Call) native(ctx context.Context, words []string) error {
	f := c.Natives[words[0]]
	if f == nil {
		return &diag.Error{Kind: diag.Broken, Pos: c.Pos, Text: fmt.Sprintf("no native function %q", words[0])}
	}
	sub := *c
	sub.Args = words[1:]
	return f(ctx, &sub)
}

// prepareDirs empties a function's cleandirs and root_cleandirs, makes its dirs, and makes the last of these its working folder.
func (c *Call) prepareDirs(name string) error {
	clean, err := c.Flag(name, "cleandirs")
	if err != nil {
		return err
	}
	// ISAR's flag for folders that only root may empty; everything here is root's.
	root, err := c.Flag(name, "root_cleandirs")
	if err != nil {
		return err
	}
	for _, d := range strings.Fields(clean + " " + root) {
		if err := c.emptyDir(d); err != nil {
			return err
		}
	}
	dirs, err := c.Flag(name, "dirs")
	if err != nil {
		return err
	}
	list := strings.Fields(dirs)
	for _, d := range list {
		if err := os.MkdirAll(d, 0o777); err != nil {
			return err
		}
	}
	if len(list) > 0 {
		c.dir = list[len(list)-1]
	}
	return nil
}

// emptyDir removes and makes anew a folder below TMPDIR; others are refused, since a slip in a recipe must not cost
// the user's files.
func (c *Call) emptyDir(dir string) error {
	tmp, err := c.Value("TMPDIR")
	if err != nil {
		return err
	}
	if rel, err := filepath.Rel(tmp, dir); err != nil || rel == "." || strings.HasPrefix(rel, "..") {
		return diag.Userf(c.Pos, "cleandirs names %s, which is not below TMPDIR (%s)", dir, tmp).WithHint("name a folder below ${WORKDIR}")
	}
	if err := sandbox.Remove(dir); err != nil {
		return err
	}
	return os.MkdirAll(dir, 0o777)
}

// shell runs text as the body of a shell function, in the sandbox. When another part follows, it says whether text has
// returned before its end.
func (c *Call) shell(ctx context.Context, name string, part int, text string, more bool) (returned bool, err error) {
	temp, err := c.Value("T")
	if err != nil {
		return false, err
	}
	own := name
	if name != c.Name { // tasks that run at the same time may share it, for instance as one of their postfuncs
		own = c.Name + "." + name
	}
	next := &carry{file: filepath.Join(temp, "state."+own)}
	if more {
		if err := next.remove(); err != nil {
			return false, err
		}
	}
	before, after := c.carry.load(), ""
	if more {
		after = next.save()
	}
	script, err := c.script(name, before+text+after)
	if err != nil {
		return false, err
	}
	file := "run." + own
	if part > 0 {
		file += "." + strconv.Itoa(part)
	}
	path := filepath.Join(temp, file)
	if err := os.MkdirAll(temp, 0o777); err != nil {
		return false, err
	}
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		return false, err
	}
	sub := *c
	sub.programs = programsIn(script)
	cmd, cleanup, err := sub.Command(ctx, "/bin/sh", path)
	if err != nil {
		return false, err
	}
	defer cleanup()
	err = cmd.Run(ctx)
	if err == nil {
		err = c.strayed(name, cmd)
	}
	var exit *sandbox.ExitError
	if errors.As(err, &exit) {
		return false, &diag.Error{Kind: diag.Failed, Text: name + strings.TrimPrefix(exit.Error(), exit.Name), Err: err}
	}
	if err != nil || !more {
		return false, err
	}
	if returned, err = c.read(next, cmd.Env); err == nil && !returned {
		c.carry = next
	}
	return returned, err
}

var word = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_-]*`)

// script is a whole shell script: exported variables, every function that text may reach, and text itself.
func (c *Call) script(name, text string) (string, error) {
	var b strings.Builder
	b.WriteString("#!/bin/sh\nset -e\n\n")
	exports, err := c.exports()
	if err != nil {
		return "", err
	}
	for _, e := range exports {
		key, value, _ := strings.Cut(e, "=")
		fmt.Fprintf(&b, "export %s=%s\n", key, sandbox.Quote(value))
	}
	functions := map[string]string{}
	if err := c.reach(text, functions); err != nil {
		return "", err
	}
	delete(functions, name)
	for _, f := range slices.Sorted(maps.Keys(functions)) {
		fmt.Fprintf(&b, "\n%s() {\n%s\n}\n", f, functions[f])
	}
	fmt.Fprintf(&b, "\n%s() {\n%s\n}\n", name, text)
	dir := c.dir
	if dir == "" {
		if dir, err = c.Value("WORKDIR"); err != nil {
			return "", err
		}
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", err
	}
	fmt.Fprintf(&b, "\ncd %s\n%s\n", sandbox.Quote(dir), name)
	return b.String(), nil
}

// reach collects the shell functions that text names, and those that they name. A word that merely looks like a
// function's name brings in a function that is not called, which does no harm.
func (c *Call) reach(text string, found map[string]string) error {
	for _, w := range word.FindAllString(text, -1) {
		if _, seen := found[w]; seen {
			continue
		}
		flags, err := c.Data.VarFlags(w)
		if err != nil {
			return err
		}
		_, isFunc := flags["func"]
		_, isPython := flags["python"]
		if !isFunc || isPython {
			continue
		}
		body, err := c.Data.Value(w)
		if err != nil {
			return err
		}
		if len(segments(body)) == 0 {
			body = ":"
		}
		for _, s := range segments(body) {
			if s.native != nil {
				// Go code cannot be called in the middle of a shell function, unless there is a form in shell.
				if body, err = c.Data.Value(w + "_in_shell"); err != nil {
					return err
				}
				if body == "" {
					body = fmt.Sprintf("echo \"ERROR: %s is built into n3x and cannot be called from a shell function\"; exit 1", w)
				}
				break
			}
		}
		found[w] = body
		if err := c.reach(body, found); err != nil {
			return err
		}
	}
	return nil
}

// ownEnvironment is what the sandbox sets itself: values of the user's session must not take its place.
var ownEnvironment = []string{"PATH", "PWD", "SHELL", "LOGNAME", "USER", "TERM", "HOME"}

// exports are the variables with the export flag, as NAME=value, sorted.
func (c *Call) exports() ([]string, error) {
	keys := c.Data.Keys()
	slices.Sort(keys)
	var out []string
	for _, k := range keys {
		flag, set, err := c.Data.VarFlag(k, "export", false)
		if err != nil {
			return nil, err
		}
		if !set || flag == "" || flag == "0" || !exportable(k) || slices.Contains(ownEnvironment, k) {
			continue
		}
		v, ok, err := c.Data.Var(k, true)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, k+"="+v)
		}
	}
	return out, nil
}

// exportable reports whether the shell can have a variable of that name.
func exportable(name string) bool {
	return word.FindString(name) == name && !strings.Contains(name, "-")
}
