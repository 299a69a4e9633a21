// SPDX-License-Identifier: MIT

package pyeval

import (
	"slices"
	"strings"

	"go.starlark.net/starlark"
)

// bbGetAutorev is bb.fetch2.get_autorev.
func bbGetAutorev(r *run, a args) (starlark.Value, error) {
	return onData(1, func(r *run, d *data, _ args) (starlark.Value, error) {
		policy, _, err := d.vars.Var("BB_SRCREV_POLICY", true)
		if err != nil {
			return nil, fromVars(err)
		}
		if policy != "cache" {
			if err := r.setVar(d, "BB_DONT_CACHE", text("1")); err != nil {
				return nil, err
			}
		}
		return text("AUTOINC"), r.setVar(d, "__BBAUTOREV_SEEN", text("True"))
	})(r, a)
}

// bbGetSrcrev is bb.fetch2.get_srcrev for SRC_URI with at most one repository, whose SRCREV is a commit.
func bbGetSrcrev(r *run, a args) (starlark.Value, error) {
	v, err := a.bind("d", "method_name?")
	if err != nil {
		return nil, err
	}
	d, ok := v[0].(*data)
	if !ok {
		return nil, unsupported("bb.fetch2.get_srcrev() without d")
	}
	const running = "__BBINSRCREV"
	_, again, err := d.vars.Var(running, true)
	switch {
	case err != nil:
		return nil, fromVars(err)
	case again:
		return nil, raise(fetchFailure, "There are recursive references in fetcher variables, likely through SRC_URI")
	}
	if err := r.setVar(d, "__BBSRCREV_SEEN", text("1")); err != nil {
		return nil, err
	}
	if err := r.setVar(d, running, text("True")); err != nil {
		return nil, err
	}
	method := "sortable_revision"
	if v[1] != nil {
		if method, err = a.wantStr(v[1]); err != nil {
			return nil, err
		}
	}
	rev, err := r.revision(d, method)
	if x := asException(err); err != nil && x != nil && x.text() != noRepository {
		return nil, err // BitBake leaves its mark as well
	}
	if gone := d.vars.DelVar(running); gone != nil {
		return nil, fromVars(gone)
	}
	return text(rev), err
}

const noRepository = "SRCREV was used yet no valid SCM was found in SRC_URI"

// revision is the text for the only repository in SRC_URI.
func (r *run) revision(d *data, method string) (string, error) {
	repositories, err := r.repositories(d)
	switch {
	case err != nil:
		return "", err
	case len(repositories) == 0:
		return "", raise(fetchFailure, noRepository)
	case len(repositories) > 1 || method != "sortable_revision" && method != "gitpkgv_revision":
		return "", unsupported("bb.fetch2.get_srcrev() of several repositories, or with the method %s", method)
	}
	rev, err := r.srcrev(d, repositories[0], method == "gitpkgv_revision")
	if err != nil {
		return "", err
	}
	return "AUTOINC+" + rev[:10], nil
}

// repositories are the URLs of SRC_URI that have revisions. A scheme whose fetcher looks at more than its URL is refused.
func (r *run) repositories(d *data) ([]string, error) {
	uris, set, err := d.vars.Var("SRC_URI", true)
	switch {
	case err != nil:
		return nil, fromVars(err)
	case !set:
		return nil, raise(attributeError, "'NoneType' object has no attribute 'split'")
	}
	var out []string
	for _, u := range strings.FieldsFunc(uris, isSpace) {
		scheme, rest, ok := strings.Cut(u, "://")
		switch {
		case ok && scheme == "git":
			if !slices.Contains(out, u) {
				out = append(out, u)
			}
		case ok && scheme == "file" && !strings.ContainsAny(rest, "*%"):
		case ok && slices.Contains([]string{"http", "https", "ftp", "apt"}, scheme) && !strings.Contains(rest, "protocol="):
		default:
			return nil, unsupported("bb.fetch2.get_srcrev() with %q in SRC_URI", u)
		}
	}
	return out, nil
}

// srcrev is the commit that SRCREV of a git repository names. With counted, a clone in DL_DIR is refused: its commits would be counted.
func (r *run) srcrev(d *data, url string, counted bool) (string, error) {
	decoded, err := bbDecodeurl(r, args{fn: "decodeurl", pos: starlark.Tuple{text(url)}})
	if err != nil {
		return "", err
	}
	params := decoded.(starlark.Tuple)[5].(*starlark.Dict)
	name := "default"
	for _, item := range params.Items() {
		switch value := word(item[1]); word(item[0]) {
		case "name":
			name = value
		case "protocol", "branch", "destsuffix", "subpath", "lfs", "depth", "subdir", "unpack":
		case "nobranch":
		default:
			return "", unsupported("bb.fetch2.get_srcrev() with the parameter %s of %q", word(item[0]), url)
		}
	}
	if err := r.plainRepository(decoded.(starlark.Tuple), params, url, name); err != nil {
		return "", err
	}
	if counted {
		if err := r.notCloned(d, decoded.(starlark.Tuple)); err != nil {
			return "", err
		}
	}
	pn, _, err := d.vars.Var("PN", true)
	if err != nil {
		return "", fromVars(err)
	}
	names := []string{"SRCREV_" + name, "SRCREV"}
	if pn != "" {
		names = []string{"SRCREV_" + name + ":pn-" + pn, "SRCREV_" + name, "SRCREV:pn-" + pn, "SRCREV"}
	}
	rev := ""
	for _, n := range names {
		if rev, _, err = d.vars.Var(n, true); err != nil {
			return "", fromVars(err)
		}
		if rev != "" && rev != "INVALID" {
			break
		}
	}
	if len(rev) != 40 || strings.Trim(rev, "0123456789abcdef") != "" {
		return "", unsupported("bb.fetch2.get_srcrev() with SRCREV %q, which is not a commit", rev)
	}
	return rev, nil
}

// plainRepository refuses URLs that BitBake refuses, and warns of what BitBake 2.8 warns of; later releases refuse that.
func (r *run) plainRepository(decoded starlark.Tuple, params *starlark.Dict, url, name string) error {
	value := func(key string) string {
		v, ok, _ := params.Get(text(key))
		if !ok {
			return ""
		}
		return word(v)
	}
	protocol, branch := value("protocol"), value("branch")
	warns := strings.HasPrefix(r.in.opts.BitBake, "2.8.")
	github := decoded[1] == text("github.com") && (protocol == "" || protocol == "git")
	noBranch := branch == "" && value("nobranch") != "1"
	known := slices.Contains([]string{"git", "file", "ssh", "http", "https", "rsync"}, protocol) || protocol == "" && decoded[1] != text("")
	if (github || noBranch) && !warns || !known || strings.Contains(name+branch, ",") {
		return unsupported("bb.fetch2.get_srcrev() of %q", url)
	}
	if github {
		r.log("warn", "URL: "+url+" uses git protocol which is no longer supported by github. Please change to ;protocol=https in the url.")
	}
	if noBranch {
		r.log("warn", "URL: "+url+" does not set any branch parameter. The future default branch used by tools and repositories is uncertain and "+
			"we will therefore soon require this is set in all git urls.")
	}
	return nil
}

// notCloned refuses a repository that is in DL_DIR.
func (r *run) notCloned(d *data, decoded starlark.Tuple) error {
	dir, _, err := d.vars.Var("GITDIR", true)
	if err == nil && dir == "" {
		dir, _, err = d.vars.Var("DL_DIR", true)
		dir += "/git2"
	}
	if err != nil {
		return fromVars(err)
	}
	name := strings.ReplaceAll(word(decoded[1]), ":", ".") + strings.NewReplacer("/", ".", "*", ".", " ", "_", "(", "_", ")", "_").Replace(word(decoded[2]))
	if _, err := r.files().Stat(dir + "/" + strings.TrimPrefix(name, ".")); err == nil {
		return unsupported("counting the commits of a clone in DL_DIR")
	}
	return nil
}
