// SPDX-License-Identifier: MIT

package pyeval

import (
	"errors"
	"slices"
	"strings"

	"go.starlark.net/starlark"
)

// standardModules are modules of CPython of which this package has nothing. Importing one is harmless; only what
// the code then takes out of it is refused.
const standardModules = " abc argparse array ast asyncio base64 bisect builtins bz2 calendar codecs concurrent configparser contextlib copy " +
	"csv dataclasses datetime decimal difflib email enum fcntl filecmp fileinput fractions functools getpass gettext grp gzip hashlib " +
	"heapq hmac html http importlib inspect io ipaddress locale logging lzma math mimetypes multiprocessing netrc numbers operator optparse " +
	"pathlib pickle pkgutil posix posixpath pprint pwd queue random resource sched secrets select selectors shelve shutil signal socket sqlite3 " +
	"ssl stat statistics struct sysconfig tarfile tempfile threading timeit tokenize traceback types typing unicodedata " +
	"unittest urllib warnings weakref xml xmlrpc zipfile zlib "

// bitbakeModules are the parts of bb of which this package has nothing.
const bitbakeModules = " asyncrpc cache checksum codeparser compress cooker daemonize exceptions main methodpool monitordisk msg namedtuple_with_abc " +
	"progress providers pysh remotedata runqueue server siggen taskdata tinfoil ui "

// importModule gives the module that "import name" binds: bind is name itself or its first part.
func (r *run) importModule(name, bind string) (starlark.Value, error) {
	if v, err := r.importSource(name, bind); v != nil || err != nil {
		return v, err
	}
	parts := strings.Split(name, ".")
	top := r.in.modules[parts[0]]
	if top == nil {
		if !moduleExists(name) {
			return nil, unsupported("the module %s", name)
		}
		return ns(bind, nil, nil), nil
	}
	full := starlark.Value(top)
	for i, part := range parts[1:] {
		m, ok := full.(*module)
		if !ok {
			return nil, unsupported("the module %s", name)
		}
		if full = m.attrs[part]; full != nil {
			continue
		}
		path := strings.Join(parts[:i+2], ".")
		if !moduleExists(path) { // a layer without addpylib may add to a package that is ours, as ISAR does to oe
			if m, err := r.findSource(path); m == nil || err != nil {
				return nil, errors.Join(unsupported("the module %s", name), err)
			}
		}
		full = ns(path, nil, nil)
	}
	if bind == name {
		return full, nil
	}
	return top, nil
}

// importSource imports a module of a layer from its source; nil if the name belongs to this package or nobody.
func (r *run) importSource(name, bind string) (starlark.Value, error) {
	top := importTop(name)
	ours := r.in.modules[top] != nil || strings.Contains(standardModules, " "+top+" ")
	named := func(lib PyLib) bool { return lib.Namespace == top }
	if ours && !slices.ContainsFunc(r.site.PyLibs, named) {
		return nil, nil
	}
	m, err := r.findSource(name)
	if m == nil || err != nil {
		return nil, err
	}
	if err := r.loaded(m); err != nil {
		return nil, err
	}
	if bind == name {
		return m, nil
	}
	first, err := r.findSource(bind)
	if first == nil {
		return nil, err
	}
	return first, err
}

// moduleExists knows CPython's own modules and BitBake's.
func moduleExists(name string) bool {
	top, rest, _ := strings.Cut(name, ".")
	return strings.Contains(standardModules, " "+top+" ") || top == "bb" && strings.Contains(bitbakeModules, " "+rest+" ")
}

// importFrom is "from name import item".
func (r *run) importFrom(name, item string) (starlark.Value, error) {
	m, err := r.importModule(name, name)
	if err != nil {
		return nil, err
	}
	if s, ok := m.(*sourceModule); ok {
		v, err := s.attr(r, item)
		if x := asException(err); x != nil && x.class == attributeError {
			err = raise(importError, "cannot import name '%s' from '%s' (%s)", item, name, s.file)
		}
		return v, err
	}
	v, err := r.attr(m, item)
	if err != nil && r.in.modules[importTop(name)] != nil {
		if sub, subErr := r.importModule(name+"."+item, name+"."+item); subErr == nil {
			return sub, nil
		}
	}
	return v, err
}

// contextTable is bb.utils._context, into which class code puts modules for everybody.
type contextTable struct{ opaque }

func (*contextTable) String() string { return "<bb.utils._context>" }
func (*contextTable) Type() string   { return "dict" }

// set allows what is already true, and modules that this package has nothing of: code that uses one is refused, since
// the name is not known.
func (*contextTable) set(r *run, key, v starlark.Value) error {
	name, ok := key.(starlark.String)
	m, isModule := v.(*module)
	if s, ofLayer := v.(*sourceModule); ofLayer {
		m, isModule = ns(s.name, nil, nil), true // whoever parses the recipe only gives it a name
	}
	if !ok || !isModule {
		return unsupported("bb.utils._context with this")
	}
	r.in.mu.Lock()
	defer r.in.mu.Unlock()
	if r.in.context[string(name)] == nil && r.in.injected[string(name)] == nil {
		r.in.injected[string(name)] = m
	}
	return nil
}

// oeTypedValue is oe.data.typed_value for variables with the flag type "string", "list" or "boolean".
func oeTypedValue(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("key", "d")
	if err != nil {
		return nil, err
	}
	value, _, err := r.varOf(v[0], v[1])
	if err != nil {
		return nil, err
	}
	vars := v[1].(*data).vars
	kind, set, err := vars.VarFlag(word(v[0]), "type", true)
	if err != nil {
		return nil, fromVars(err)
	}
	switch kind = strings.ToLower(kind); {
	case !set:
		return nil, unsupported("oe.data.typed_value() of a variable without a type")
	case kind == "string":
		return text(value), nil
	case kind == "boolean":
		b, err := booleanOf(text(value))
		return boolean(b), err
	case kind != "list":
		return nil, unsupported("oe.data.typed_value() of the type %s", kind)
	}
	separator, set, err := vars.VarFlag(word(v[0]), "separator", true)
	switch {
	case err != nil:
		return nil, fromVars(err)
	case set && separator != "":
		return texts(strings.Split(value, separator)), nil
	}
	return texts(strings.FieldsFunc(value, isSpace)), nil
}
