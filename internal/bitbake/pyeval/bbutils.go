// SPDX-License-Identifier: MIT

package pyeval

import (
	"slices"
	"strings"

	"go.starlark.net/starlark"
)

func makeBBUtils() *module {
	return ns("bb.utils", map[string]impl{
		"contains": bbContains(false), "contains_any": bbContains(true), "filter": bbFilter, "filter_string": bbFilterString, "to_boolean": bbToBoolean,
		"cpu_count": osCPUCount, "vercmp_string": bbVercmpString, "vercmp_string_op": bbVercmpStringOp, "vercmp": bbVercmp,
		"split_version": bbSplitVersion, "explode_deps": bbExplodeDeps, "explode_dep_versions2": bbExplodeDepVersions2,
		"join_deps": bbJoinDeps, "which": bbWhich, "mkdirhier": bbMkdirhier, "export_proxies": onData(1, func(*run, *data, args) (starlark.Value, error) { return none() }),
	}, map[string]starlark.Value{"VersionStringException": versionException, "_context": &contextTable{}})
}

// varOf is d.getVar(name) for a name and a d that are arguments.
func (r *run) varOf(name, d starlark.Value) (value string, set bool, err error) {
	store, ok := d.(*data)
	if !ok {
		return "", false, raise(attributeError, "'%s' object has no attribute 'getVar'", typeName(d))
	}
	s, ok := name.(starlark.String)
	if !ok {
		return "", false, unsupported("a variable's name that is a %s", typeName(name))
	}
	value, set, err = store.vars.Var(string(s), true)
	return value, set, fromVars(err)
}

// itemSet makes a set of a str (split at white space) or of any other iterable.
func (r *run) itemSet(v starlark.Value) (*starlark.Set, error) {
	if s, ok := v.(starlark.String); ok {
		var items []starlark.Value
		for _, w := range strings.FieldsFunc(string(s), isSpace) {
			items = append(items, text(w))
		}
		return makeSet(items)
	}
	items, err := r.collectFor(v, nil)
	if err != nil {
		return nil, err
	}
	return makeSet(items)
}

// bbContains is bb.utils.contains, or contains_any.
func bbContains(any bool) impl {
	return func(r *run, a args) (starlark.Value, error) {
		v, err := a.bind("variable", "checkvalues", "truevalue", "falsevalue", "d")
		if err != nil {
			return nil, err
		}
		value, _, err := r.varOf(v[0], v[4])
		if err != nil {
			return nil, err
		}
		if value == "" {
			return v[3], nil
		}
		have, err := r.itemSet(text(value))
		if err != nil {
			return nil, err
		}
		wanted, err := r.itemSet(v[1])
		if err != nil {
			return nil, err
		}
		found := 0
		for _, item := range setElems(wanted) {
			has, err := setHas(have, item)
			if err != nil {
				return nil, err
			}
			if has {
				found++
			}
		}
		if any && found > 0 || !any && found == wanted.Len() {
			return v[2], nil
		}
		return v[3], nil
	}
}

func bbFilter(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("variable", "checkvalues", "d")
	if err != nil {
		return nil, err
	}
	value, _, err := r.varOf(v[0], v[2])
	if err != nil || value == "" {
		return text(""), err
	}
	return r.filterWords(strings.FieldsFunc(value, isSpace), v[1])
}

// filterWords keeps the words that are among those of check, sorted and each once.
func (r *run) filterWords(words []string, check starlark.Value) (starlark.Value, error) {
	wanted, err := r.itemSet(check)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, w := range words {
		has, err := wanted.Has(text(w))
		if err != nil {
			return nil, err
		}
		if has {
			found = append(found, w)
		}
	}
	slices.Sort(found)
	return text(strings.Join(slices.Compact(found), " ")), nil
}

func bbToBoolean(_ *run, a args) (starlark.Value, error) {
	v, err := a.bind("string", "default?")
	if err != nil {
		return nil, err
	}
	if !v[0].Truth() {
		if v[1] == nil {
			return none()
		}
		return v[1], nil
	}
	if _, isInt := asInt(v[0]); isInt {
		return boolean(true), nil
	}
	s, ok := v[0].(starlark.String)
	if !ok {
		return nil, raise(attributeError, "'%s' object has no attribute 'lower'", typeName(v[0]))
	}
	switch strings.ToLower(string(s)) {
	case "y", "yes", "1", "true":
		return boolean(true), nil
	case "n", "no", "0", "false":
		return boolean(false), nil
	}
	return nil, raise(valueError, "Invalid value for to_boolean: %s", string(s))
}

func bbWhich(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("path", "item", "direction?", "history?", "executable?")
	if err != nil {
		return nil, err
	}
	search := ""
	if v[0].Truth() {
		if search, err = a.wantStr(v[0]); err != nil {
			return nil, err
		}
	}
	item, err := a.wantStr(v[1])
	if err != nil {
		return nil, err
	}
	if truthy(v[2], false) {
		dirs := strings.Split(search, ":")
		slices.Reverse(dirs)
		search = strings.Join(dirs, ":")
	}
	if truthy(v[3], false) {
		return r.whichHistory(search, item, truthy(v[4], false))
	}
	if truthy(v[4], false) {
		found, err := r.whichProgram(search, item)
		return text(found), err
	}
	found, err := r.which(search, item, func(string) {})
	return text(found), err
}

// whichHistory also tells where the item has been looked for.
func (r *run) whichHistory(search, item string, program bool) (starlark.Value, error) {
	if program || strings.HasPrefix(item, "/") {
		return nil, unsupported("bb.utils.which() with history of this item")
	}
	var tried []string
	for _, dir := range strings.Split(search, ":") {
		candidate := item
		if dir != "" {
			candidate = strings.TrimSuffix(dir, "/") + "/" + item
			if strings.HasSuffix(dir, "//") {
				candidate = dir + item
			}
		}
		tried = append(tried, candidate)
		found, err := r.which(dir, item, func(string) {})
		if err != nil || found != "" {
			return starlark.Tuple{text(found), texts(tried)}, err
		}
	}
	return starlark.Tuple{text(""), texts(tried)}, nil
}

// whichProgram is which for programs: files that may be executed.
func (r *run) whichProgram(search, item string) (string, error) {
	for _, dir := range strings.Split(search, ":") {
		found, err := r.which(dir, item, func(string) {})
		if err != nil || found == "" {
			if err != nil {
				return "", err
			}
			continue
		}
		info, err := r.types().Stat(found)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		switch info.Mode().Perm() & 0o111 {
		case 0o111:
			return found, nil
		case 0:
		default:
			return "", unsupported("the program %s, which not everybody may execute", found)
		}
	}
	return "", nil
}

// bbMkdirhier is bb.utils.mkdirhier of a folder that is there already.
func bbMkdirhier(r *run, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	name, full, err := r.pathArg(a, a.pos[0])
	if err != nil {
		return nil, err
	}
	if info, err := r.types().Stat(full); err != nil || !info.IsDir() || strings.Contains(name, "${") {
		return nil, unsupported("making the folder %s", name)
	}
	return none()
}
