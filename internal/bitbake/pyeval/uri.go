// SPDX-License-Identifier: MIT

package pyeval

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"
)

// bbURI is bb.fetch2.URI, which splits by the rules of Python's urllib; its attributes can only be read.
func bbURI(_ *run, a args) (starlark.Value, error) {
	v, err := a.bind("uri?")
	if err != nil {
		return nil, err
	}
	if v[0] == nil || !bool(v[0].Truth()) {
		return nil, unsupported("bb.fetch2.URI() without a URI")
	}
	uri, err := a.wantStr(v[0])
	if err != nil {
		return nil, err
	}
	u, err := parseURI(uri)
	if err != nil {
		return nil, err
	}
	return &namespace{kind: "URI", attrs: u.attrs()}, nil
}

// uri is a URL of SRC_URI, taken apart.
type uri struct {
	scheme, userinfo, hostname, path string
	port                             starlark.Value
	params, query                    *starlark.Dict
	relative                         bool
}

// urlParts is urllib's urlsplit, without the fragment.
type urlParts struct{ scheme, netloc, path, query string }

func splitURL(s string) urlParts {
	var out urlParts
	if i := strings.IndexByte(s, ':'); i > 0 && isLetter(s[0]) && strings.Trim(s[:i], lowercase+strings.ToUpper(lowercase)+"0123456789+-.") == "" {
		out.scheme, s = strings.ToLower(s[:i]), s[i+1:]
	}
	if strings.HasPrefix(s, "//") {
		s = s[2:]
		end := strings.IndexAny(s, "/?#")
		if end < 0 {
			end = len(s)
		}
		out.netloc, s = s[:end], s[end:]
	}
	s, _, _ = strings.Cut(s, "#")
	out.path, out.query, _ = strings.Cut(s, "?")
	return out
}

// parseURI takes a URI apart as bb.fetch2.URI does.
func parseURI(s string) (*uri, error) {
	if !ascii(s) || strings.ContainsAny(s, "[]\t\r\n") || strings.TrimFunc(s, func(c rune) bool { return c <= ' ' }) != s {
		return nil, unsupported("bb.fetch2.URI(%q)", s)
	}
	location, params, _ := strings.Cut(s, ";")
	parts := splitURL(location)
	u := &uri{scheme: parts.scheme, port: starlark.None}
	if u.scheme == "file" {
		location = dropSlashes(location)
		parts = splitURL(location)
	}
	if parts.scheme == "file" || parts.scheme == "git" {
		word := location[:strings.IndexByte(location, ':')]
		u.relative = !strings.HasPrefix(location[len(word)+1:], "//") && strings.IndexFunc(word, func(c rune) bool { return !isWordRune(c) }) < 0
	}
	if !u.relative {
		if err := u.host(parts.netloc); err != nil {
			return nil, err
		}
	}
	path, err := unquote(parts.path)
	if err != nil {
		return nil, err
	}
	u.path, u.relative = path, path != "" && path[0] != '/'
	if u.params, err = uriParams(params, ";"); err == nil {
		u.query, err = uriParams(parts.query, "&")
	}
	return u, err
}

func isWordRune(c rune) bool { return c == '_' || c < 128 && isAlphaNumeric(c) }

// dropSlashes takes away the first "//" that stands behind a colon and has no third slash.
func dropSlashes(s string) string {
	for i := 1; i+1 < len(s); i++ {
		if s[i-1] == ':' && s[i] == '/' && s[i+1] == '/' && (i+2 == len(s) || s[i+2] != '/') {
			return s[:i] + s[i+2:]
		}
	}
	return s
}

func (u *uri) host(netloc string) error {
	info := netloc
	if i := strings.LastIndexByte(netloc, '@'); i >= 0 {
		info = netloc[i+1:]
		user, password, _ := strings.Cut(netloc[:i], ":")
		u.userinfo = user
		if password != "" {
			u.userinfo += ":" + password
		}
	}
	host, port, _ := strings.Cut(info, ":")
	if strings.Contains(host, "%") {
		return unsupported("a host with %% in bb.fetch2.URI()")
	}
	u.hostname = strings.ToLower(host)
	if port == "" {
		return nil
	}
	n, err := strconv.Atoi(port)
	if err != nil || strings.Trim(port, "0123456789") != "" {
		return raise(valueError, "Port could not be cast to integer value as %s", mustRepr(port))
	}
	if n > 65535 {
		return raise(valueError, "Port out of range 0-65535")
	}
	u.port = number(n)
	return nil
}

func unquote(s string) (string, error) {
	if !strings.Contains(s, "%") {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	if !utf8.ValidString(b.String()) {
		return "", unsupported("unquoting %q, which is not UTF-8", s)
	}
	return b.String(), nil
}

// uriParams reads "key=value;key"; a key without a value has None.
func uriParams(s, separator string) (*starlark.Dict, error) {
	out := starlark.NewDict(0)
	for _, p := range strings.Split(s, separator) {
		if p == "" {
			continue
		}
		key, value, ok := strings.Cut(p, "=")
		v := starlark.Value(starlark.None)
		if ok {
			v = text(value)
		}
		if err := out.SetKey(text(key), v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (u *uri) attrs() map[string]starlark.Value {
	hostport := u.hostname
	if u.port != starlark.None && bool(u.port.Truth()) {
		hostport += ":" + u.port.String()
	}
	user, password, _ := strings.Cut(u.userinfo, ":")
	return map[string]starlark.Value{
		"scheme": text(u.scheme), "userinfo": text(u.userinfo), "username": text(user), "password": text(password),
		"hostname": text(u.hostname), "port": u.port, "hostport": text(hostport), "path": text(u.path),
		"path_quoted": text(quotePath(u.path)), "params": u.params, "query": u.query, "relative": boolean(u.relative),
	}
}

// quotePath is urllib.parse.quote.
func quotePath(s string) string { return quoteURL(s, "/") }

// quoteURL writes all bytes but letters, digits and those of safe as %XX.
func quoteURL(s, safe string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < utf8.RuneSelf && isAlphaNumeric(rune(c)) || strings.IndexByte("_.-~", c) >= 0 || strings.IndexByte(safe, c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + strings.ToUpper(hexText(s[i:i+1])))
		}
	}
	return b.String()
}

// makeURLLib has urllib.parse.quote and unquote.
func makeURLLib() *module {
	parse := ns("urllib.parse", map[string]impl{
		"quote": func(_ *run, a args) (starlark.Value, error) {
			v, err := a.bind("string", "safe?")
			if err != nil {
				return nil, unsupported("urllib.parse.quote() with these arguments")
			}
			safe := "/"
			if v[1] != nil {
				if safe, err = a.wantStr(v[1]); err != nil || !ascii(safe) {
					return nil, unsupported("urllib.parse.quote() with these arguments")
				}
			}
			s, ok := v[0].(starlark.String)
			if !ok {
				return nil, unsupported("urllib.parse.quote() of a %s", typeName(v[0]))
			}
			return text(quoteURL(string(s), safe)), nil
		},
		"unquote": func(_ *run, a args) (starlark.Value, error) {
			if err := a.exactly(1); err != nil {
				return nil, unsupported("urllib.parse.unquote() with these arguments")
			}
			s, err := a.wantStr(a.pos[0])
			if err != nil {
				return nil, err
			}
			s, err = unquote(s)
			return text(s), err
		},
	}, nil)
	return ns("urllib", nil, map[string]starlark.Value{"parse": parse})
}

// bbEncodeurl is bb.fetch2.encodeurl: the URL of what decodeurl gives.
func bbEncodeurl(_ *run, a args) (starlark.Value, error) {
	if err := a.exactly(1); err != nil {
		return nil, err
	}
	parts, ok := a.pos[0].(starlark.Tuple)
	if !ok || len(parts) != 6 {
		return nil, unsupported("bb.fetch2.encodeurl() of this")
	}
	var words [5]string
	for i := range words {
		if !isNone(parts[i]) {
			var err error
			if words[i], err = a.wantStr(parts[i]); err != nil {
				return nil, err
			}
		}
	}
	scheme, host, path, user, password := words[0], words[1], words[2], words[3], words[4]
	if scheme == "" || !ascii(strings.Join(words[:], "")) || scheme != "file" && path != "" && path[0] != '/' {
		return nil, unsupported("bb.fetch2.encodeurl() of this") // releases of BitBake differ in relative paths
	}
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	out := scheme + "://"
	if scheme != "file" {
		if user != "" && password != "" {
			user += ":" + password
		}
		if user != "" {
			out += user + "@"
		}
		out += host
	}
	out += quotePath(path)
	params, err := encodedParams(parts[5])
	return text(out + params), err
}

func encodedParams(v starlark.Value) (string, error) {
	dict, ok := v.(*starlark.Dict)
	if like, isLike := v.(*dictLike); isLike {
		dict, ok = like.dict, true
	}
	if !bool(v.Truth()) {
		return "", nil
	}
	if !ok {
		return "", unsupported("bb.fetch2.encodeurl() with this")
	}
	out := ""
	for _, item := range dict.Items() {
		key, isKey := item[0].(starlark.String)
		value, isText := item[1].(starlark.String)
		if !isKey || !isText {
			return "", unsupported("bb.fetch2.encodeurl() with a parameter that is a %s", typeName(item[1]))
		}
		out += ";" + string(key) + "=" + string(value)
	}
	return out, nil
}
