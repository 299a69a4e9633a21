// SPDX-License-Identifier: MIT

package pyeval

import (
	"errors"
	"slices"
	"strings"

	"go.starlark.net/starlark"
)

// bbFetch is bb.fetch2.Fetch of local files, where they lie along FILESPATH, and of downloads, where they will lie in DL_DIR,
// with the parameters of their URLs. Nothing is fetched.
func bbFetch(r *run, a args) (starlark.Value, error) {
	if err := a.exactly(2); err != nil {
		return nil, unsupported("bb.fetch2.Fetch() with these arguments")
	}
	d, ok := a.pos[1].(*data)
	if !ok {
		return nil, unsupported("bb.fetch2.Fetch() without d")
	}
	urls, err := r.collect(a.pos[0])
	if err != nil {
		return nil, err
	}
	if len(urls) == 0 {
		source, _, err := d.vars.Var("SRC_URI", true)
		if err != nil {
			return nil, fromVars(err)
		}
		urls = elems(texts(urlWords(source)).(*starlark.List))
	}
	all := starlark.NewDict(len(urls))
	for _, v := range urls {
		one, err := r.fetchData(d, v)
		if errors.As(err, new(*Unsupported)) { // until its data is asked for
			one, err = &namespace{kind: "bb.fetch2.FetchData of " + plain(v), attrs: map[string]starlark.Value{}}, nil
		}
		if err != nil {
			return nil, err
		}
		if err := all.SetKey(v, one); err != nil {
			return nil, err
		}
	}
	return &namespace{kind: "Fetch", attrs: map[string]starlark.Value{
		"urls": list(urls), "ud": all,
		"localpath": builtin("localpath", func(r *run, a args) (starlark.Value, error) {
			if err := a.exactly(1); err != nil {
				return nil, err
			}
			one, found, err := getKey(all, a.pos[0])
			if err != nil || !found {
				return nil, unsupported("the path of a URL that was not given to bb.fetch2.Fetch()")
			}
			return r.attr(one, "localpath")
		}),
	}}, nil
}

// fetchData is bb.fetch2.FetchData of one URL.
func (r *run) fetchData(d *data, v starlark.Value) (starlark.Value, error) {
	refused := unsupported("bb.fetch2.Fetch() of this URL")
	s, ok := v.(starlark.String)
	if !ok || len(urlWords(string(s))) != 1 {
		return nil, refused
	}
	if expanded, err := d.vars.Expand(string(s)); err != nil || expanded != string(s) {
		return nil, refused
	}
	u, err := parseURI(string(s))
	if err != nil {
		return nil, err
	}
	for _, item := range u.params.Items() {
		if item[1] == starlark.None {
			return nil, refused
		}
	}
	if _, given, err := u.params.Get(starlark.String("localpath")); given || err != nil || u.path == "" || u.query.Len() > 0 {
		return nil, refused
	}
	attrs := map[string]starlark.Value{"url": s, "type": text(u.scheme), "path": text(u.path), "parm": u.params}
	switch u.scheme {
	case "file":
		err = r.localFile(d, u, attrs)
	case "http", "https", "ftp", "ftps":
		err = r.download(d, u, attrs)
	default:
		return nil, refused
	}
	return &namespace{kind: "FetchData", attrs: attrs}, err
}

// localFile finds a file along FILESPATH (bb/fetch2/local.py).
func (r *run) localFile(d *data, u *uri, attrs map[string]starlark.Value) error {
	if strings.Contains(u.path, "*") {
		return unsupported("bb.fetch2.Fetch() of this URL")
	}
	found := u.path
	if !strings.HasPrefix(found, "/") {
		filesPath, _, err := d.vars.Var("FILESPATH", true)
		if err != nil {
			return fromVars(err)
		}
		last := ""
		if found, err = r.which(filesPath, u.path, func(tried string) { last = tried }); err != nil {
			return err
		}
		if found == "" {
			found = last // where it was looked for last
		}
	}
	attrs["localpath"] = text(found)
	return nil
}

// download names the file that a download becomes (bb/fetch2/wget.py).
func (r *run) download(d *data, u *uri, attrs map[string]starlark.Value) error {
	name := u.path[strings.LastIndexByte(u.path, '/')+1:]
	if given, ok, err := u.params.Get(starlark.String("downloadfilename")); err != nil {
		return err
	} else if ok {
		name = string(given.(starlark.String))
	}
	if protocol, ok, err := u.params.Get(starlark.String("protocol")); err != nil || ok && protocol == starlark.String("git") || name == "" {
		return unsupported("bb.fetch2.Fetch() of this URL")
	}
	dir, ok, err := d.vars.Var("DL_DIR", true)
	if err != nil {
		return fromVars(err)
	}
	if !ok {
		return unsupported("bb.fetch2.Fetch() without DL_DIR")
	}
	file := name
	if !strings.HasPrefix(name, "/") {
		file = strings.TrimSuffix(dir, "/") + "/" + name
	}
	attrs["basename"], attrs["localfile"], attrs["localpath"] = text(name), text(name), text(file)
	return nil
}

func urlWords(s string) []string { return strings.FieldsFunc(s, isSpace) }

// OverridesFinder is what a datastore has whose metadata may call d.hasOverrides.
type OverridesFinder interface {
	HasOverrides(name string) bool
}

func dataHasOverrides(_ *run, d *data, a args) (starlark.Value, error) {
	v, err := a.bind("var")
	if err != nil {
		return nil, err
	}
	names, err := a.names(v[0])
	if err != nil {
		return nil, err
	}
	f, ok := d.vars.(OverridesFinder)
	if !ok {
		return nil, unsupported("d.hasOverrides()")
	}
	return boolean(f.HasOverrides(names[0])), nil
}

// seek goes to a place in a file that is counted from its beginning.
func (f *openFile) seek(a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, unsupported("seek() of a file with these arguments")
	}
	n, err := a.wantInt(a.pos[0], 0)
	if err != nil {
		return nil, err
	}
	if n < 0 || n > len(f.whole) || !ascii(f.whole) {
		return nil, unsupported("seek() to this place")
	}
	f.rest = f.whole[n:]
	return number(n), nil
}

// orderedDicts makes the dicts of a JSON text collections.OrderedDict.
func orderedDicts(v starlark.Value) starlark.Value {
	switch v := v.(type) {
	case *starlark.List:
		items := elems(v)
		out := make([]starlark.Value, len(items))
		for i := range items {
			out[i] = orderedDicts(items[i])
		}
		return list(out)
	case *starlark.Dict:
		out := starlark.NewDict(v.Len())
		for _, item := range v.Items() {
			if out.SetKey(item[0], orderedDicts(item[1])) != nil {
				return v
			}
		}
		return &dictLike{kind: "OrderedDict", dict: out}
	}
	return v
}

// bbTasksBetween is bb.build.tasksbetween: the tasks on the ways from one task to another.
func bbTasksBetween(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("task_start", "task_end", "d")
	if err != nil {
		return nil, err
	}
	d, ok := v[2].(*data)
	if !ok {
		return nil, unsupported("bb.build.tasksbetween() without d")
	}
	names, err := a.names(v[0], v[1])
	if err != nil {
		return nil, err
	}
	after := map[string][]string{}
	for _, name := range d.vars.Keys() {
		if task, set, err := d.vars.VarFlag(name, "task", true); err != nil || !set || task == "" {
			if err != nil {
				return nil, fromVars(err)
			}
			continue
		}
		deps, err := dataGetVarFlag(r, d, args{"getVarFlag", starlark.Tuple{text(name), text("deps"), boolean(false)}, nil})
		if err != nil {
			return nil, err
		}
		l, isList := deps.(*starlark.List)
		if !isList {
			return nil, unsupported("bb.build.tasksbetween() with the task %s", name)
		}
		after[name] = nil
		for _, dep := range elems(l) {
			after[name] = append(after[name], plain(dep))
		}
	}
	out, err := between(names[0], names[1], sortedKeys(after), after)
	return texts(out), err
}

// between follows the tasks that come after start until it meets end.
func between(start, end string, tasks []string, after map[string][]string) ([]string, error) {
	var chain, out []string
	var follow func(task string) error
	follow = func(task string) error {
		if slices.Contains(chain, task) {
			return raise(bbHandledException, "Circular task dependencies as %s depends on itself via the chain %s", task, strings.Join(chain, " -> "))
		}
		chain = append(chain, task)
		defer func() { chain = chain[:len(chain)-1] }()
		if task == end {
			for _, c := range chain {
				if !slices.Contains(out, c) {
					out = append(out, c)
				}
			}
			return nil
		}
		for _, other := range tasks {
			if other != task && slices.Contains(after[other], task) {
				if err := follow(other); err != nil {
					return err
				}
			}
		}
		return nil
	}
	err := follow(start)
	return out, err
}
