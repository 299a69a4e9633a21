// SPDX-License-Identifier: MIT

package pyeval

import (
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
	"golang.org/x/sys/unix"
)

// environ is os.environ: what BitBake's filter of the environment lets through.
type environ struct{ opaque }

func (*environ) String() string { return "<os.environ>" }
func (*environ) Type() string   { return "_Environ" }

func (*environ) item(r *run, key starlark.Value) (starlark.Value, error) {
	name, ok := key.(starlark.String)
	if !ok {
		return nil, raise(typeError, "str expected, not %s", typeName(key))
	}
	if v, set := r.environ(string(name)); set {
		return text(v), nil
	}
	return nil, &raised{&exc{class: keyError, args: starlark.Tuple{key}}}
}

// set changes a variable for the rest of this evaluation; what else BitBake's process would see of it depends on the
// order in which it evaluates things.
func (*environ) set(r *run, key, value starlark.Value) error {
	name, ok1 := key.(starlark.String)
	v, ok2 := value.(starlark.String)
	if !ok1 || !ok2 {
		return raise(typeError, "str expected, not %s", typeName(value))
	}
	if r.exported == nil {
		r.exported = map[string]string{}
	}
	r.exported[string(name)] = string(v)
	return nil
}

// environ looks a variable up.
func (r *run) environ(name string) (string, bool) {
	if v, set := r.exported[name]; set {
		return v, true
	}
	r.site.Observe(LookedAtEnv, name)
	v, set := r.in.opts.Environ[name]
	return v, set
}

func (e *environ) attr(name string) (starlark.Value, error) {
	switch name {
	case "get":
		return builtin(name, environGet), nil
	case "copy":
		return builtin(name, func(r *run, a args) (starlark.Value, error) {
			r.site.Observe(LookedAtEnv, "")
			all := maps.Clone(r.in.opts.Environ)
			maps.Copy(all, r.exported)
			out := starlark.NewDict(len(all))
			for _, k := range sortedKeys(all) {
				if err := out.SetKey(text(k), text(all[k])); err != nil {
					return nil, err
				}
			}
			return out, a.exactly(0)
		}), nil
	}
	return nil, unsupported("os.environ.%s", name)
}

func environGet(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("key", "default?")
	if err != nil {
		return nil, err
	}
	name, err := a.wantStr(v[0])
	if err != nil {
		return nil, err
	}
	switch value, set := r.environ(name); {
	case set:
		return text(value), nil
	case v[1] != nil:
		return v[1], nil
	}
	return none()
}

// ns makes a module of functions and values.
func ns(name string, funcs map[string]impl, values map[string]starlark.Value) *module {
	m := &module{name: name, attrs: map[string]starlark.Value{}}
	for k, fn := range funcs {
		m.attrs[k] = builtin(k, fn)
	}
	for k, v := range values {
		m.attrs[k] = v
	}
	return m
}

func makeOS() *module {
	return ns("os", map[string]impl{
		"cpu_count": osCPUCount, "sched_getaffinity": osAffinity, "sysconf": osSysconf, "getpid": osGetpid, "getcwd": osGetcwd,
		"listdir": osListdir, "getenv": environGet, "uname": osUname, "access": osAccess, "readlink": osReadlink, "walk": osWalk, "stat": osStat(Files.Stat), "lstat": osStat(Files.Lstat), "getuid": osID(os.Getuid), "geteuid": osID(os.Geteuid), "getgid": osID(os.Getgid), "getegid": osID(os.Getegid),
		"popen": osPopen, "system": osSystem,
	}, map[string]starlark.Value{
		"environ": &environ{}, "path": makeOSPath(), "sep": text("/"), "linesep": text("\n"), "pathsep": text(":"), "curdir": text("."),
		"pardir": text(".."), "name": text("posix"), "error": osError, "extsep": text("."), "devnull": text("/dev/null"),
		"F_OK": number(0), "R_OK": number(4), "W_OK": number(2), "X_OK": number(1),
	})
}

func (r *run) cpus() int {
	if r.in.opts.CPUs > 0 {
		return r.in.opts.CPUs
	}
	return runtime.NumCPU()
}

func osCPUCount(r *run, a args) (starlark.Value, error) { return number(r.cpus()), a.exactly(0) }

func osAffinity(r *run, a args) (starlark.Value, error) {
	out := starlark.NewSet(r.cpus())
	for i := range r.cpus() {
		if err := out.Insert(number(i)); err != nil {
			return nil, err
		}
	}
	return out, a.exactly(1)
}

func osSysconf(r *run, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	switch a.pos[0] {
	case text("SC_NPROCESSORS_ONLN"), text("SC_NPROCESSORS_CONF"):
		return number(r.cpus()), nil
	case text("SC_PAGE_SIZE"), text("SC_PAGESIZE"):
		return number(os.Getpagesize()), nil
	case text("SC_PHYS_PAGES"):
		if n := r.in.opts.MemPages; n > 0 {
			return starlark.MakeInt64(n), nil
		}
		return physPages()
	}
	return nil, unsupported("os.sysconf(%v)", a.pos[0])
}

// physPages is the host's memory.
func physPages() (starlark.Value, error) {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return nil, unsupported("os.sysconf(\"SC_PHYS_PAGES\") on this host")
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "MemTotal:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			if err == nil {
				return starlark.MakeInt64(kib * 1024 / int64(os.Getpagesize())), nil
			}
		}
	}
	return nil, unsupported("os.sysconf(\"SC_PHYS_PAGES\") on this host")
}

func osGetpid(r *run, a args) (starlark.Value, error) {
	r.site.Observe(LookedAtClock, "") // another one each time, as the clock's
	return number(os.Getpid()), a.exactly(0)
}

func osGetcwd(r *run, a args) (starlark.Value, error) {
	if r.in.opts.Cwd == "" {
		return nil, unsupported("os.getcwd() without a current directory")
	}
	return text(r.in.opts.Cwd), a.exactly(0)
}

// record is a named tuple, such as what os.uname() gives.
type record struct {
	opaque
	kind   string
	names  []string
	values starlark.Tuple
}

func (t *record) String() string { return "<" + t.kind + ">" }
func (t *record) Type() string   { return t.kind }

func (t *record) attr(name string) (starlark.Value, error) {
	if i := slices.Index(t.names, name); i >= 0 {
		return t.values[i], nil
	}
	return nil, unsupported("the attribute %s of a %s", name, t.kind)
}

// osUname gives what the kernel calls itself.
func osUname(_ *run, a args) (starlark.Value, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return nil, osException(err, "")
	}
	t := &record{kind: "posix.uname_result", names: []string{"sysname", "nodename", "release", "version", "machine"}}
	for _, field := range [][]byte{u.Sysname[:], u.Nodename[:], u.Release[:], u.Version[:], u.Machine[:]} {
		t.values = append(t.values, text(unix.ByteSliceToString(field)))
	}
	return t, a.exactly(0)
}

// pathArg is a path argument, as written and made absolute.
func (r *run) pathArg(a args, v starlark.Value) (name, full string, err error) {
	if name, err = a.wantStr(v); err == nil {
		full, err = r.absolute(name)
	}
	return name, full, err
}

func osListdir(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("path?")
	if err != nil {
		return nil, err
	}
	if v[0] == nil {
		v[0] = text(".")
	}
	name, full, err := r.pathArg(a, v[0])
	if err != nil {
		return nil, err
	}
	entries, err := r.files().ReadDir(full)
	if err != nil {
		return nil, osException(err, name)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names) // CPython gives the directory's own order, which nobody may depend on
	return texts(names), nil
}

func osAccess(r *run, a args) (starlark.Value, error) {
	if err := a.exactly(2); err != nil {
		return nil, err
	}
	if a.pos[1] != number(0) {
		return nil, unsupported("os.access() with another mode than os.F_OK")
	}
	return pathExists(r, args{a.fn, a.pos[:1], nil})
}

func osReadlink(r *run, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	name, full, err := r.pathArg(a, a.pos[0])
	if err != nil {
		return nil, err
	}
	target, err := r.files().Readlink(full)
	if err != nil {
		return nil, osException(err, name)
	}
	return text(target), nil
}
