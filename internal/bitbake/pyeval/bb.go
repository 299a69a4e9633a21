// SPDX-License-Identifier: MIT

package pyeval

import (
	"path"
	"strings"

	"go.starlark.net/starlark"
)

// makeBB makes the module bb as far as metadata uses it while it is parsed.
func makeBB(version string) *module {
	if version == "" {
		version = "2.19.0"
	}
	values := func(m ...*module) map[string]starlark.Value {
		out := map[string]starlark.Value{}
		for _, one := range m {
			out[one.name[strings.LastIndexByte(one.name, '.')+1:]] = one
		}
		return out
	}
	filter := ns("bb.filter", map[string]impl{"filter_proc": bbFilterProc}, nil)
	parse := ns("bb.parse", map[string]impl{"vardepsexclude": sameFunction, "vars_from_file": bbVarsFromFile, "mark_dependency": bbMarkDependency, "resolve_file": bbResolveFile},
		map[string]starlark.Value{"SkipRecipe": skipRecipe, "SkipPackage": skipPackage, "ParseError": parseError})
	data := ns("bb.data", map[string]impl{
		"inherits_class": bbInheritsClass,
		"createCopy":     onData(1, func(_ *run, d *data, a args) (starlark.Value, error) { return d.copy() }),
		"expand": onData(2, func(r *run, d *data, a args) (starlark.Value, error) {
			return dataExpand(r, d, args{a.fn, a.pos[:1], nil})
		}),
	}, nil)
	build := ns("bb.build", map[string]impl{"addtask": bbAddtask, "deltask": bbDeltask, "tasksbetween": bbTasksBetween}, nil)
	smart := ns("bb.data_smart", nil, map[string]starlark.Value{"ExpansionError": expansionError})
	fetch := ns("bb.fetch2", map[string]impl{"decodeurl": bbDecodeurl, "get_srcrev": bbGetSrcrev, "get_autorev": bbGetAutorev, "URI": bbURI, "encodeurl": bbEncodeurl, "Fetch": bbFetch}, map[string]starlark.Value{
		"BBFetchException": fetchError, "FetchError": fetchFailure, "MalformedUrl": malformedURL, "FETCH_EXPORT_VARS": exportVars(),
		"FetchMethod": rootClass("FetchMethod", ""),
	})
	oldFetch := ns("bb.fetch", nil, nil)
	oldFetch.attrs = fetch.attrs
	event := ns("bb.event", map[string]impl{"getName": bbEventName}, nil)
	for _, name := range events {
		event.attrs[name] = &eventClass{name: name}
	}
	sub := values(parse, filter, data, build, smart, fetch, oldFetch, event, makeBBUtils(), makeBBProcess(), ns("bb.persist_data", map[string]impl{"persist": bbPersist}, nil))
	sub["__version__"] = text(version)
	sub["BBHandledException"] = bbHandledException
	return ns("bb", map[string]impl{
		"note": bbLog("note"), "plain": bbLog("plain"), "warn": bbLog("warn"), "warnonce": bbLog("warn"), "error": bbLog("error"),
		"erroronce": bbLog("error"), "verbnote": bbLog("note"), "debug": bbDebug, "fatal": bbFatal,
	}, sub)
}

// exportVars are the variables of the environment that the fetchers of BitBake 2.8, the release that ISAR comes with, pass on.
func exportVars() starlark.Value {
	return texts(strings.Fields("HOME PATH HTTP_PROXY http_proxy HTTPS_PROXY https_proxy FTP_PROXY ftp_proxy FTPS_PROXY ftps_proxy NO_PROXY no_proxy " +
		"ALL_PROXY all_proxy GIT_PROXY_COMMAND GIT_SSH GIT_SSH_COMMAND GIT_SSL_CAINFO GIT_SMART_HTTP SSH_AUTH_SOCK SSH_AGENT_PID SOCKS5_USER " +
		"SOCKS5_PASSWD DBUS_SESSION_BUS_ADDRESS P4CONFIG SSL_CERT_FILE NODE_EXTRA_CA_CERTS AWS_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY " +
		"AWS_ROLE_ARN AWS_WEB_IDENTITY_TOKEN_FILE AWS_DEFAULT_REGION AWS_SESSION_TOKEN GIT_CACHE_PATH REMOTE_CONTAINERS_IPC SSL_CERT_DIR"))
}

// log hands a message to the embedding program.
func (r *run) log(level, message string) {
	r.site.Say(r.in.opts.Log, level, message)
}

// messages joins the arguments of a log function, which are text already.
func messages(a args, vs []starlark.Value) (string, error) {
	var b strings.Builder
	for _, v := range vs {
		s, ok := v.(starlark.String)
		if !ok {
			return "", raise(typeError, "sequence item 0: expected str instance, %s found", typeName(v))
		}
		b.WriteString(string(s))
	}
	for _, kv := range a.kw {
		if word(kv[0]) != "forcelog" {
			return "", unsupported("%s() with %s=", a.fn, word(kv[0]))
		}
	}
	return b.String(), nil
}

func bbLog(level string) impl {
	return func(r *run, a args) (starlark.Value, error) {
		s, err := messages(a, a.pos)
		if err != nil {
			return nil, err
		}
		r.log(level, s)
		return none()
	}
}

func bbDebug(r *run, a args) (starlark.Value, error) {
	if len(a.pos) == 0 {
		return nil, raise(typeError, "debug() missing 1 required positional argument: 'lvl'")
	}
	s, err := messages(a, a.pos[1:])
	if err != nil {
		return nil, err
	}
	r.log("debug", s)
	return none()
}

func bbFatal(r *run, a args) (starlark.Value, error) {
	s, err := messages(a, a.pos)
	if err != nil {
		return nil, err
	}
	r.log("fatal", s)
	return nil, raise(bbHandledException, "%s", s)
}

// onData makes a function whose n arguments end with d a function of d.
func onData(n int, f func(r *run, d *data, a args) (starlark.Value, error)) impl {
	return func(r *run, a args) (starlark.Value, error) {
		if err := a.exactly(n); err != nil {
			return nil, err
		}
		d, ok := a.pos[n-1].(*data)
		if !ok {
			return nil, raise(attributeError, "'%s' object has no attribute 'getVar'", typeName(a.pos[n-1]))
		}
		return f(r, d, a)
	}
}

func bbInheritsClass(r *run, a args) (starlark.Value, error) {
	return onData(2, func(_ *run, d *data, a args) (starlark.Value, error) {
		class, err := a.wantStr(a.pos[0])
		if err != nil {
			return nil, err
		}
		in, ok := d.vars.(Inheriter)
		if !ok {
			return nil, unsupported("bb.data.inherits_class()")
		}
		return boolean(in.Inherits(class)), nil
	})(r, a)
}

// wordsOf splits a str at white space; None is no words.
func wordsOf(a args, v starlark.Value) ([]string, error) {
	if isNone(v) {
		return nil, nil
	}
	s, err := a.wantStr(v)
	return strings.FieldsFunc(s, isSpace), err
}

func bbAddtask(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("task", "before", "after", "d")
	if err != nil {
		return nil, err
	}
	name, err := a.wantStr(v[0])
	if err != nil {
		return nil, err
	}
	before, err := wordsOf(a, v[1])
	if err != nil {
		return nil, err
	}
	after, err := wordsOf(a, v[2])
	if err != nil {
		return nil, err
	}
	return starlark.None, r.editTasks(a, v[3], func(t TaskEditor) error { return t.AddTask(name, before, after) })
}

func bbDeltask(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("task", "d")
	if err != nil {
		return nil, err
	}
	name, err := a.wantStr(v[0])
	if err != nil {
		return nil, err
	}
	return starlark.None, r.editTasks(a, v[1], func(t TaskEditor) error { return t.DelTask(name) })
}

func (r *run) editTasks(a args, v starlark.Value, edit func(TaskEditor) error) error {
	if d, ok := v.(*data); ok {
		if t, ok := d.vars.(TaskEditor); ok {
			r.write()
			return fromVars(edit(t))
		}
	}
	return unsupported("bb.build.%s()", a.fn)
}

// bbVarsFromFile splits "pn_pv_pr.bb"; what is missing is None.
func bbVarsFromFile(_ *run, a args) (starlark.Value, error) {
	if err := a.exactly(2); err != nil {
		return nil, err
	}
	out := starlark.Tuple{starlark.None, starlark.None, starlark.None}
	name, ok := a.pos[0].(starlark.String)
	if !ok || !strings.HasSuffix(string(name), ".bb") && !strings.HasSuffix(string(name), ".bbappend") {
		return out, nil
	}
	base := path.Base(string(name))
	base = strings.TrimSuffix(base, path.Ext(base))
	parts := strings.Split(base, "_")
	if len(parts) > 3 {
		return nil, raise(parseError, "Unable to generate default variables from filename (too many underscores): %s", string(name))
	}
	for i, p := range parts {
		out[i] = text(p)
	}
	return list(out), nil
}

func bbMarkDependency(r *run, a args) (starlark.Value, error) {
	if err := a.exactly(2); err != nil {
		return nil, err
	}
	d, ok := a.pos[0].(*data)
	if !ok {
		return nil, unsupported("bb.parse.mark_dependency() without d")
	}
	name, full, err := r.pathArg(a, a.pos[1])
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(name, "./") {
		full = pathNorm(full)
	}
	markDependency(d, full)
	return none()
}

func markDependency(d *data, path string) {
	if m, ok := d.vars.(DependencyMarker); ok {
		m.MarkDependency(path)
	}
}

// bbResolveFile finds a file along BBPATH.
func bbResolveFile(r *run, a args) (starlark.Value, error) {
	if err := a.exactly(2); err != nil {
		return nil, err
	}
	name, err := a.wantStr(a.pos[0])
	if err != nil {
		return nil, err
	}
	d, ok := a.pos[1].(*data)
	if !ok {
		return nil, unsupported("bb.parse.resolve_file() without d")
	}
	found := name
	if !path.IsAbs(name) {
		bbpath, _, err := d.vars.Var("BBPATH", true)
		if err != nil {
			return nil, fromVars(err)
		}
		if found, err = r.which(bbpath, name, func(tried string) { markDependency(d, tried) }); err != nil {
			return nil, err
		}
		if found == "" {
			return nil, &raised{&exc{class: fileNotFoundError, args: starlark.Tuple{number(2), text("file " + name + " not found in " + bbpath)}}}
		}
	}
	markDependency(d, found)
	if info, err := r.types().Stat(found); err != nil || !info.Mode().IsRegular() {
		return nil, &raised{&exc{class: fileNotFoundError, args: starlark.Tuple{number(2), text("file " + found + " not found")}}}
	}
	return text(found), nil
}

// which looks for item in the directories of a search path.
func (r *run) which(searchPath, item string, tried func(string)) (string, error) {
	for _, dir := range strings.Split(searchPath, ":") {
		candidate := item
		if !path.IsAbs(item) && dir != "" {
			candidate = strings.TrimSuffix(dir, "/") + "/" + item
		}
		full, err := r.absolute(candidate)
		if err != nil {
			return "", err
		}
		tried(full)
		if _, err := r.types().Stat(full); err == nil {
			if path.IsAbs(candidate) {
				return candidate, nil
			}
			return pathNorm(full), nil
		}
	}
	return "", nil
}

// bbDecodeurl splits a URL of SRC_URI to (type, host, path, user, password, parameters).
func bbDecodeurl(_ *run, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	url, err := a.wantStr(a.pos[0])
	if err != nil {
		return nil, err
	}
	scheme, rest, ok := strings.Cut(url, "://")
	location, params, _ := strings.Cut(rest, ";")
	authority, file, hasPath := strings.Cut(location, "/")
	user := ""
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, authority = authority[:i], authority[i+1:]
	}
	switch {
	case !ok || location == "":
		return nil, raise(malformedURL, "The URL: '%s' is invalid and cannot be interpreted", url)
	case strings.Contains(scheme, ":"), !ascii(url), strings.ContainsAny(url, "%[]"), strings.HasPrefix(user, ":"), authority == "" && !hasPath,
		strings.EqualFold(scheme, "file") && user != "":
		return nil, unsupported("bb.fetch2.decodeurl(%q)", url) // versions of BitBake differ
	}
	if hasPath {
		file = "/" + file
	}
	if strings.EqualFold(scheme, "file") {
		authority, file = "", authority+file
	} else if !hasPath {
		file = "/"
	}
	dict, err := urlParams(url, params)
	if err != nil {
		return nil, err
	}
	user, password, _ := strings.Cut(user, ":")
	return starlark.Tuple{text(scheme), text(authority), text(file), text(user), text(password), dict}, nil
}

// urlParams reads "key=value;key=value".
func urlParams(url, params string) (*starlark.Dict, error) {
	out := starlark.NewDict(0)
	for _, p := range strings.Split(params, ";") {
		if p == "" {
			continue
		}
		key, value, ok := strings.Cut(p, "=")
		if !ok {
			return nil, raise(malformedURL, "The URL: '%s' is invalid: parameter %s does not specify a value (missing '=')", url, p)
		}
		if err := out.SetKey(text(key), text(value)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// events are the event classes that handlers in metadata compare with.
var events = []string{
	"RecipePreDeferredInherits", "RecipePreFinalise", "RecipeParsed", "RecipeTaskPreProcess", "RecipePostKeyExpansion", "ConfigParsed", "MultiConfigParsed",
	"BuildStarted", "BuildInit", "BuildCompleted", "ParseStarted", "ParseCompleted", "ParseProgress", "CookerExit", "NoProvider",
	"MultipleProviders", "SanityCheck", "SanityCheckFailed", "HeartbeatEvent", "TreeDataPreparationStarted", "DepTreeGenerated",
}

// eventClass is a class of bb.event.
type eventClass struct {
	opaque
	name string
}

func (c *eventClass) String() string { return "<class bb.event." + c.name + ">" }
func (*eventClass) Type() string     { return "type" }

// matches is isinstance for the event of a handler, whose class the embedding program names.
func (c *eventClass) matches(v starlark.Value) (bool, error) {
	e, ok := v.(*namespace)
	if !ok || e.kind != "event" {
		return false, nil
	}
	name, _ := e.attrs["__name"].(starlark.String)
	return eventName(name) == c.name, nil
}

// eventName is an event's class without its module.
func eventName(full starlark.String) string {
	return string(full[strings.LastIndexByte(string(full), '.')+1:])
}

// event makes `e` of what the embedding program says: "name" is its class, the rest are attributes; "tasklist" and "inherits" are
// lists, one item a line.
func (r *run) event(fields map[string]string) starlark.Value {
	e := &namespace{kind: "event", attrs: map[string]starlark.Value{"data": r.d}}
	for k, v := range fields {
		if k == "name" {
			k = "__name"
		}
		e.attrs[k] = text(v)
		if k == "tasklist" || k == "inherits" {
			items := []starlark.Value{}
			for item := range strings.SplitSeq(v, "\n") {
				if item != "" || k == "inherits" {
					items = append(items, text(item))
				}
			}
			e.attrs[k] = starlark.NewList(items)
		}
	}
	return e
}

func bbEventName(_ *run, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	if e, ok := a.pos[0].(*namespace); ok && e.kind == "event" {
		if name, ok := e.attrs["__name"].(starlark.String); ok {
			return starlark.String(eventName(name)), nil
		}
	}
	return nil, unsupported("bb.event.getName() of this")
}
