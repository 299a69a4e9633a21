package fetch

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"n3x/internal/diag"
)

// Source is one entry of SRC_URI.
type Source struct {
	URL string   // as written, e.g. "https://example.com/a.tar.gz;name=a"
	Pos diag.Pos // for messages

	Scheme   string // lower case, e.g. "https"
	User     string
	Password string
	Host     string // with port
	Path     string // unescaped, without query; of file://, with or without a leading slash
	Params   map[string]string

	workDir        string              // Request.WorkDir
	sumPlaces      map[string]diag.Pos // of checksums that stand in flags of SRC_URI, by kind
	branchName     string              // of git: the branch that holds Revision
	web            string              // of crate: the address that it stands for
	shallowTarball string              // of git: the name of a tarball with a part of the history; "" = it is not cut
	repository     *Source             // of gomodgit: the git source that holds the module

	Sums     map[string]string // expected checksums by kind, e.g. "sha256" -> 64 hex digits
	Revision string            // of git: a commit, tag or branch (SRCREV, rev= or tag=); "" is the branch's head
	Also     []Ref             // of git with several names: those behind the first, whose revisions must be there too
}

// Ref is a further revision that a git source names.
type Ref struct {
	Name     string // for SRCREV_<name>
	Branch   string // "" with nobranch=1
	Revision string // as Source.Revision
}

// Request is what a recipe says about its sources.
type Request struct {
	SrcURI string            // SRC_URI, expanded
	Flags  map[string]string // flags of SRC_URI, e.g. "name.sha256sum"
	// Revision is SRCREV for a name ("default" when the entry has none): "" or "INVALID" when none is set, "AUTOINC" for
	// the branch's head. nil means that none is set.
	Revision func(name string) string
	// FlagPos is where a flag of SRC_URI is set; nil when nobody knows.
	FlagPos func(flag string) diag.Pos
	WorkDir string   // WORKDIR: an absolute subdir= must be below it
	Pos     diag.Pos // where SRC_URI is set
}

// sumKinds are the checksums that BitBake knows, strongest first.
var sumKinds = []string{"sha512", "sha384", "sha256", "sha1", "md5"}

// sumLength is the number of hex digits of a checksum.
var sumLength = map[string]int{"sha512": 128, "sha384": 96, "sha256": 64, "sha1": 40, "md5": 32}

// ParseSources reads a whole SRC_URI. Schemes that cannot be fetched are parsed all the same; [Fetcher.Fetch] refuses
// them.
func ParseSources(r Request) ([]*Source, error) {
	var out []*Source
	for _, entry := range strings.Fields(r.SrcURI) {
		s, err := Parse(entry)
		if err != nil {
			return nil, diag.Userf(r.Pos, "SRC_URI: %w", err)
		}
		s.Pos, s.workDir = r.Pos, r.WorkDir
		if err := s.setSums(r); err != nil {
			return nil, err
		}
		if git := s.git(); git != nil {
			git.Pos = r.Pos
			if err := git.setRevisions(r.Revision); err != nil {
				return nil, err
			}
		}
		out = append(out, s)
	}
	return out, nil
}

var schemeForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*$`)

// Parse reads one entry: scheme://[user[:password]@]host/path[;param=value...]. A query
// is a part of the path, as for BitBake.
func Parse(entry string) (*Source, error) {
	address, params, _ := strings.Cut(entry, ";")
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok || !schemeForm.MatchString(scheme) || rest == "" {
		return nil, fmt.Errorf("%q is no address of the form scheme://path", entry)
	}
	s := &Source{URL: entry, Scheme: strings.ToLower(scheme), Params: map[string]string{}}
	for _, p := range strings.Split(params, ";") {
		if p == "" {
			continue
		}
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			return nil, fmt.Errorf("%q: parameter %q has no value", entry, p)
		}
		s.Params[name] = value
	}
	if s.Scheme != "file" {
		rest = s.takeHost(rest)
	}
	s.Path = unquote(rest)
	if strings.ContainsRune(s.Path, 0) {
		return nil, fmt.Errorf("%q: the path holds a NUL byte", entry)
	}
	s.setDerived()
	return s, nil
}

// takeHost splits user, password and host off and returns the path, without the query.
func (s *Source) takeHost(rest string) string {
	authority, p := rest, "/"
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		authority, p = rest[:i], rest[i:]
	}
	if i := strings.LastIndex(authority, "@"); i >= 0 {
		s.User, s.Password, _ = strings.Cut(authority[:i], ":")
		authority = authority[i+1:]
	}
	s.Host = authority
	if u := s.Params["user"]; s.User == "" && u != "" {
		s.User = u
	}
	if p := s.Params["pswd"]; s.Password == "" && p != "" {
		s.Password = p
	}
	return p
}

// Name is the entry's name= parameter, or "default".
func (s *Source) Name() string {
	if n := s.Params["name"]; n != "" {
		return n
	}
	return "default"
}

// address is the entry without its parameters.
func (s *Source) address() string {
	a, _, _ := strings.Cut(s.URL, ";")
	return a
}

// LocalName is the name below DL_DIR of a source that is one file, e.g. of http.
func (s *Source) LocalName() string {
	if n := s.Params["downloadfilename"]; n != "" {
		return unquote(n)
	}
	if base := s.Path[strings.LastIndexByte(s.Path, '/')+1:]; base != "" {
		return unquote(base)
	}
	return strings.ReplaceAll(unquote(s.Host+s.Path), "/", ".")
}

// unquote replaces escapes as Python's urllib.parse.unquote does, which leaves what is no escape.
func unquote(s string) string {
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
	return b.String()
}

// checkLocalName refuses a name that is no place in DL_DIR.
func (s *Source) checkLocalName() error {
	if name := s.LocalName(); !localPath(name) || path.Clean(name) == "." || strings.ContainsRune(name, 0) {
		return diag.Userf(s.Pos, "%s: the name %q leads out of DL_DIR", s.URL, name)
	}
	return nil
}

// setSums collects the expected checksums from parameters, else from the flags of SRC_URI.
func (s *Source) setSums(r Request) error {
	s.Sums, s.sumPlaces = map[string]string{}, map[string]diag.Pos{}
	for _, kind := range sumKinds {
		named, plain := kind+"sum", kind+"sum"
		if n := s.Params["name"]; n != "" {
			named = n + "." + plain
		}
		want, where := s.Params[named], "parameter "+named
		if want == "" {
			want, where = s.Params[plain], "parameter "+plain
		}
		if want == "" && (s.onWeb() || s.Scheme == "s3") {
			if want, where = r.Flags[named], "SRC_URI["+named+"]"; want != "" {
				s.sumPlaces[kind] = diag.Pos{}
				if r.FlagPos != nil {
					s.sumPlaces[kind] = r.FlagPos(named)
				}
			}
		}
		if want == "" {
			continue
		}
		if want = strings.ToLower(want); len(want) != sumLength[kind] || strings.Trim(want, "0123456789abcdef") != "" {
			return diag.Userf(s.Pos, "%s: %s is not a %s checksum: %q", s.URL, where, kind, want).
				WithHint("a %s checksum has %d hex digits", kind, sumLength[kind])
		}
		s.Sums[kind] = want
	}
	return nil
}

// setRevisions combines SRCREV with the rev= and tag= parameters, for each name of the entry.
func (s *Source) setRevisions(srcrev func(name string) string) error {
	names := strings.Split(s.Name(), ",")
	branches := strings.Split(s.Params["branch"], ",")
	if s.Params["branch"] == "" && !s.flag("nobranch") && !s.flag("usehead") {
		branches = []string{"master"} // BitBake 2.8's default, of which it warns
	}
	if len(names) != len(branches) {
		return diag.Userf(s.Pos, "%s: it has %d names, but %d branches", s.URL, len(names), len(branches)).
			WithHint("give as many in branch= as in name=, separated by commas")
	}
	s.Also = nil
	for i, name := range names {
		rev := ""
		if srcrev != nil {
			rev = srcrev(name)
		}
		rev, err := s.revision(name, rev)
		if err != nil {
			return err
		}
		if i == 0 {
			s.Revision, s.branchName = rev, branches[0]
		} else {
			s.Also = append(s.Also, Ref{Name: name, Branch: branches[i], Revision: rev})
		}
	}
	return nil
}

// revision combines SRCREV with the rev= and tag= parameters.
func (s *Source) revision(name, srcrev string) (string, error) {
	if srcrev == "INVALID" {
		srcrev = ""
	}
	rev, tag := s.Params["rev"], s.Params["tag"]
	var found string
	switch {
	case rev != "" && srcrev != "" && rev != srcrev:
		return "", diag.Userf(s.Pos, "%s: rev=%s contradicts SRCREV %s", s.URL, rev, srcrev).WithHint("remove one of them")
	case rev != "" && tag != "":
		return "", diag.Userf(s.Pos, "%s: rev= and tag= exclude each other", s.URL).WithHint("remove one of them")
	case rev != "":
		found = rev
	case srcrev == "AUTOINC":
		return "", nil
	case srcrev != "":
		found = srcrev
	case tag != "":
		found = tag
	default:
		key := "SRCREV"
		if name != "default" {
			key += "_" + name
		}
		return "", diag.Userf(s.Pos, "%s: no revision is set", s.URL).WithHint("set %s to a commit, or add ;rev=<commit>", key)
	}
	if strings.HasPrefix(found, "-") || strings.HasPrefix(tag, "-") {
		return "", diag.Userf(s.Pos, "%s: revision %q begins with a dash, which git would take for an option", s.URL, found)
	}
	return found, nil
}

// schemes that BitBake or ISAR know and n3x cannot fetch yet.
var knownSchemes = []string{"ftp", "ftps", "gitannex", "svn", "hg", "bzr", "cvs", "gs", "az", "sftp", "ssh", "p4", "osc", "repo", "perforce",
	"clearcase"}

// supported refuses what cannot be fetched or would be ignored, by name.
func (s *Source) supported() error {
	switch s.Scheme {
	case "file":
		return nil
	case "http", "https":
		if s.Params["protocol"] == "git" {
			return diag.Userf(s.Pos, "%s: a git repository over %s is written git://...;protocol=%s", s.URL, s.Scheme, s.Scheme)
		}
		return s.checkLocalName()
	case "s3":
		if s.Host == "" || s.Path == "/" {
			return diag.Userf(s.Pos, "%s is not s3://BUCKET/PATH", s.URL)
		}
		return s.checkLocalName()
	case "git", "gitsm":
		return s.supportedGit()
	case "crate", "gomod":
		return s.supportedRegistry()
	case "gomodgit":
		if err := s.supportedRegistry(); err != nil {
			return err
		}
		return s.repository.supportedGit()
	case "npm":
		return s.supportedNpm()
	case "npmsw":
		return nil
	case "apt":
		return s.supportedApt()
	case "docker":
		return diag.Userf(s.Pos, "%s: scheme %q is only fetched for ISAR's package recipes", s.URL, s.Scheme)
	}
	e := diag.Userf(s.Pos, "%s: scheme %q is not supported yet", s.URL, s.Scheme)
	if !slices.Contains(knownSchemes, s.Scheme) {
		e = diag.Userf(s.Pos, "%s: scheme %q is not known", s.URL, s.Scheme)
	}
	return e.WithHint("file, http, https, git, gitsm, apt, npm, crate, gomod and s3 work; put an archive of the source on a web server or beside the recipe")
}

// localPath reports whether a slash-separated relative path stays where it starts.
func localPath(p string) bool {
	return p != "" && !path.IsAbs(p) && !slices.Contains(strings.Split(path.Clean(p), "/"), "..")
}
