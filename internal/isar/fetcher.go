package isar

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/diag"
	"n3x/internal/fetch"
)

// Outside is what fetching needs from beyond the metadata. The zero value is enough to look sources up.
type Outside struct {
	Archives *Archives         // for apt:// sources
	Env      map[string]string // the user's environment: keys of S3
}

// fetcherVariables are the fetcher's settings, in the order of settings.
var fetcherVariables = []string{"DL_DIR", "GITDIR", "FILESPATH", "PREMIRRORS", "MIRRORS", "SOURCE_MIRROR_URL", "BB_NO_NETWORK", "BB_FETCH_PREMIRRORONLY",
	"BB_ALLOWED_NETWORKS", "BB_STRICT_CHECKSUM", "BB_GIT_NOSHARED", "BB_CHECK_SSL_CERTS", "BASE_DISTRO", "BASE_DISTRO_CODENAME", "S", "WORKDIR",
	"BP", "GO_MOD_PROXY", "GO_MOD_CACHE_DIR", "HOME", "SRC_URI", "N3X_UNPACK_LIMIT", "N3X_GIT_REVISIONS", "BB_GENERATE_MIRROR_TARBALLS",
	"BB_GIT_SHALLOW", "BB_GIT_SHALLOW_EXTRA_REFS"}

// mirrored are the schemes for which SOURCE_MIRROR_URL is a premirror, as in OpenEmbedded's class own-mirrors.
var mirrored = []string{"https?", "ftp", "git", "gitsm", "npm", "s3"}

// fetcher is what a recipe's SRC_URI and the fetcher's variables say.
func fetcher(c *Call, outside Outside) (*fetch.Fetcher, []*fetch.Source, error) {
	values, err := c.Values(fetcherVariables...)
	if err != nil {
		return nil, nil, err
	}
	v := map[string]string{}
	for i, name := range fetcherVariables {
		v[name] = values[i]
	}
	o, err := fetchOptions(c, v, outside)
	if err != nil {
		return nil, nil, err
	}
	f, err := fetch.New(o)
	if err != nil {
		return nil, nil, err
	}
	sources, err := parseSources(c, v)
	return f, sources, err
}

func fetchOptions(c *Call, v map[string]string, outside Outside) (fetch.Options, error) {
	o := fetch.Options{
		DownloadDir: v["DL_DIR"], GitDir: v["GITDIR"], FilesPath: strings.Split(v["FILESPATH"], ":"),
		SourcePool: v["BASE_DISTRO"] + "-" + v["BASE_DISTRO_CODENAME"],
		NoNetwork:  truth(v["BB_NO_NETWORK"]), PremirrorOnly: truth(v["BB_FETCH_PREMIRRORONLY"]), AllowedNetworks: strings.Fields(v["BB_ALLOWED_NETWORKS"]),
		Checksums: fetch.ParseStrict(v["BB_STRICT_CHECKSUM"]), GitNoShared: v["BB_GIT_NOSHARED"] == "1", InsecureTLS: v["BB_CHECK_SSL_CERTS"] == "0",
		MirrorTarballs: v["BB_GENERATE_MIRROR_TARBALLS"] != "" && v["BB_GENERATE_MIRROR_TARBALLS"] != "0",
		BasePackage:    v["BP"], GoProxy: v["GO_MOD_PROXY"], GoCache: v["GO_MOD_CACHE_DIR"], Git: fetch.HostGit{}, Progress: c.Progress,
		Warn: func(text string) { fmt.Fprintf(c.Log, "WARNING: %s\n", text) },
	}
	if outside.Archives != nil {
		o.Debian = debianSources{c, outside.Archives}
	}
	if rel, err := filepath.Rel(v["WORKDIR"], v["S"]); err == nil && filepath.IsLocal(rel) {
		o.SourceDir = rel
	}
	home := v["HOME"]
	if home == "" {
		home = outside.Env["HOME"]
	}
	if home != "" {
		o.Netrc = filepath.Join(home, ".netrc")
	}
	var err error
	if o.MaxUnpacked, err = unpackLimit(v["N3X_UNPACK_LIMIT"]); err != nil {
		return o, diag.Userf(c.Data.LastSet("N3X_UNPACK_LIMIT"), "N3X_UNPACK_LIMIT: %w", err)
	}
	env := func(name string) string {
		if value, e := c.Value(name); e == nil && value != "" {
			return value
		}
		return outside.Env[name]
	}
	if strings.Contains(v["SRC_URI"]+v["PREMIRRORS"]+v["MIRRORS"]+v["SOURCE_MIRROR_URL"], "s3://") {
		if o.S3, err = fetch.S3From(env, home); err != nil {
			return o, err
		}
	}
	if v["BB_GIT_SHALLOW"] == "1" {
		if o.Shallow, err = shallowOptions(c, v); err != nil {
			return o, err
		}
	}
	return o, setMirrors(c, v, &o)
}

// shallowOptions read how git's history is cut.
func shallowOptions(c *Call, v map[string]string) (*fetch.GitShallow, error) {
	tarballs, ok, err := c.Data.Var("BB_GENERATE_SHALLOW_TARBALLS", true)
	if err != nil {
		return nil, err
	}
	if !ok || tarballs == "" {
		tarballs = v["BB_GENERATE_MIRROR_TARBALLS"]
	}
	// named is the variable for a name of a source, or the common one.
	named := func(variable, name string) (key, value string, set bool, err error) {
		for _, key = range []string{variable + "_" + name, variable} {
			if value, set, err = c.Data.Var(key, true); set || err != nil {
				return key, value, set, err
			}
		}
		return variable, "", false, nil
	}
	return &fetch.GitShallow{
		ExtraRefs: strings.Fields(v["BB_GIT_SHALLOW_EXTRA_REFS"]), Tarballs: tarballs != "" && tarballs != "0",
		Depth: func(name string) (int, error) {
			key, value, set, err := named("BB_GIT_SHALLOW_DEPTH", name)
			if !set || err != nil {
				return 1, err
			}
			n, err := strconv.Atoi(cmp.Or(strings.TrimSpace(value), "0"))
			if err != nil || n < 0 {
				return 0, diag.Userf(c.Data.LastSet(key), "%s is %q, not a number of commits", key, value).WithHint("0 keeps the whole history")
			}
			return n, nil
		},
		Revs: func(name string) ([]string, error) {
			_, value, _, err := named("BB_GIT_SHALLOW_REVS", name)
			return strings.Fields(value), err
		},
	}, nil
}

// unpackLimit reads a number of bytes, with K, M, G or T behind it for powers of 1024.
func unpackLimit(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	digits := strings.TrimRight(strings.ToUpper(s), "KMGTIB")
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	shift, ok := map[string]uint{"": 0, "B": 0, "K": 10, "M": 20, "G": 30, "T": 40}[strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(s)[len(digits):], "B"), "I")]
	if err != nil || n <= 0 || !ok || n > math.MaxInt64>>shift {
		return 0, fmt.Errorf("%q is no size, like 20G", s)
	}
	return n << shift, nil
}

// setMirrors reads PREMIRRORS and MIRRORS, and SOURCE_MIRROR_URL, which comes before them.
func setMirrors(c *Call, v map[string]string, o *fetch.Options) error {
	own := ""
	if url := v["SOURCE_MIRROR_URL"]; url != "" {
		for _, scheme := range mirrored {
			own += scheme + "://.*/?.* " + url + " "
		}
	}
	var err error
	if o.Premirrors, err = fetch.ParseMirrors(own+v["PREMIRRORS"], c.Data.LastSet("PREMIRRORS")); err != nil {
		return err
	}
	o.Mirrors, err = fetch.ParseMirrors(v["MIRRORS"], c.Data.LastSet("MIRRORS"))
	return err
}

// parseSources reads SRC_URI with its flags and revisions.
func parseSources(c *Call, v map[string]string) ([]*fetch.Source, error) {
	flags, err := c.Data.VarFlags("SRC_URI")
	if err != nil {
		return nil, err
	}
	for name := range flags {
		if flags[name], _, err = c.Data.VarFlag("SRC_URI", name, true); err != nil {
			return nil, err
		}
	}
	place := func(flag string) diag.Pos {
		for _, e := range slices.Backward(c.Data.History("SRC_URI")) {
			if e.Flag == flag && e.Pos.File != "" {
				return e.Pos
			}
		}
		return c.Pos
	}
	var revErr error
	sources, err := fetch.ParseSources(fetch.Request{SrcURI: v["SRC_URI"], Flags: flags, WorkDir: v["WORKDIR"], Pos: place(""), FlagPos: place, Revision: func(name string) string {
		key := "SRCREV"
		if name != "default" {
			key = "SRCREV_" + name
			if rev, ok, _ := c.Data.Var(key, true); !ok || rev == "" || rev == "INVALID" {
				key = "SRCREV"
			}
		}
		rev, err := c.Value(key)
		revErr = errors.Join(revErr, err)
		return rev
	}})
	if err = errors.Join(err, revErr); err != nil {
		return nil, err
	}
	for line := range strings.Lines(v["N3X_GIT_REVISIONS"]) {
		words := strings.Fields(line)
		for _, s := range sources {
			if len(words) > 1 && s.URL == words[0] && s.Floats() {
				s.SetRevisions(words[1:])
			}
		}
	}
	return sources, nil
}

// FloatingRevisions looks up the branches and tags that a recipe's sources name, as AUTOREV does: a line for each such
// entry, the entry and its commits. The variable N3X_GIT_REVISIONS gives them to the tasks, so that all see the same; what
// cannot be looked up is left to the task that needs it.
func FloatingRevisions(ctx context.Context, d *datastore.Data, pos diag.Pos, o Outside) (string, error) {
	c := &Call{Task: Task{Data: d, Pos: pos}, Log: io.Discard}
	uri, err := c.Value("SRC_URI")
	if err != nil || !strings.Contains(uri, "git") {
		return "", err
	}
	f, sources, err := fetcher(c, o)
	if err != nil {
		return "", nil // an error of the task that fetches
	}
	var b strings.Builder
	for _, s := range sources {
		if !s.Floats() {
			continue
		}
		if _, err := f.ResolveRevision(ctx, s); err != nil {
			if ctx.Err() != nil {
				return "", ctx.Err()
			}
			continue
		}
		fmt.Fprintln(&b, s.URL, strings.Join(s.Revisions(), " "))
	}
	return b.String(), nil
}
