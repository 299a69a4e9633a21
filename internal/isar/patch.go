package isar

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"n3x/internal/bitbake/recipe"
	"n3x/internal/diag"
	"n3x/internal/fetch"
	"n3x/internal/sandbox"
)

// patch is one patch of SRC_URI that is to be applied.
type patch struct {
	source *fetch.Source
	name   string // e.g. "0001-fix.patch"
	file   string // where it lies
	dir    string // what it is applied to
	level  string // leading folders of its paths to drop, e.g. "1"
}

// patchTools are the values of PATCHTOOL and the Debian package of each.
var patchTools = map[string]string{"quilt": "quilt", "git": "git", "patch": "patch"}

//go:embed patch.sh
var patchScript string

// applyPatches applies the patches of SRC_URI, in order, to S or to the folders that patchdir names, and leaves what
// PATCHTOOL leaves: the folders patches and .pc of quilt, or a commit for each.
//
// Mirrors OE-Core's meta/lib/oe/patch.py.
func applyPatches(ctx context.Context, c *Call) error {
	patches, err := selectPatches(c)
	if err != nil || len(patches) == 0 {
		return err
	}
	tool, err := c.Value("PATCHTOOL")
	if err != nil {
		return err
	}
	tool = cmp.Or(tool, "quilt")
	resolve, err := c.Value("PATCHRESOLVE")
	if err != nil {
		return err
	}
	switch resolve {
	case "", "noop":
	case "user":
		fmt.Fprintf(c.Log, "WARNING: PATCHRESOLVE is user, but no shell is opened when a patch does not apply: the task fails\n")
	default:
		return diag.Userf(c.Data.LastSet("PATCHRESOLVE"), "PATCHRESOLVE of %s is %q, neither noop nor user", c.Recipe, resolve)
	}
	if patchTools[tool] == "" {
		return diag.Userf(c.Pos, "PATCHTOOL of %s is %q, not quilt, git or patch", c.Recipe, tool)
	}
	done := map[string]bool{}
	for start := 0; start < len(patches); {
		dir, end := patches[start].dir, start
		for end < len(patches) && patches[end].dir == dir {
			end++
		}
		if err := c.patchDir(ctx, tool, dir, patches[start:end], !done[dir]); err != nil {
			return err
		}
		done[dir], start = true, end
	}
	return nil
}

// selectPatches lists what SRC_URI has of patches that fit this version of the recipe.
func selectPatches(c *Call) ([]patch, error) {
	f, sources, err := fetcher(c, Outside{})
	if err != nil {
		return nil, err
	}
	v, err := c.Values("S", "WORKDIR")
	if err != nil {
		return nil, err
	}
	var out []patch
	for _, s := range sources {
		p, err := asPatch(f, s, v[1])
		if err != nil {
			return nil, err
		}
		if p == nil {
			continue
		}
		why, err := c.unfitPatch(s)
		if err != nil {
			return nil, err
		}
		if why != "" {
			fmt.Fprintf(c.Log, "NOTE: patch %s %s\n", p.name, why)
			continue
		}
		p.dir = v[0]
		if d := s.Params["patchdir"]; filepath.IsAbs(d) {
			p.dir = filepath.Clean(d)
		} else if d != "" {
			p.dir = filepath.Join(v[0], d)
		}
		if rel, err := filepath.Rel(v[1], p.dir); err != nil || !filepath.IsLocal(rel) {
			return nil, diag.Userf(s.Pos, "%s: the patch would change %s, which is not below WORKDIR (%s)", s.URL, p.dir, v[1]).WithHint("correct patchdir=, or S")
		}
		out = append(out, *p)
	}
	return out, nil
}

var (
	patchLevel = regexp.MustCompile(`^[0-9]{1,3}$`)
	// dirSchemes are those whose sources are folders, never patches.
	dirSchemes = []string{"git", "gitsm", "apt", "npm", "npmsw", "gomod", "gomodgit", "crate"}
)

// asPatch tells whether a source is a patch: by its name, or by apply=yes. Compressed ones lie unpacked in work.
func asPatch(f *fetch.Fetcher, s *fetch.Source, work string) (*patch, error) {
	if slices.Contains(dirSchemes, s.Scheme) {
		return nil, nil
	}
	name := filepath.Base(s.LocalName())
	file := ""
	if ext := filepath.Ext(name); slices.Contains([]string{".gz", ".bz2", ".xz", ".Z"}, ext) {
		name = strings.TrimSuffix(name, ext)
		file = filepath.Join(work, name)
	}
	ext := filepath.Ext(name)
	switch apply, set := s.Params["apply"]; {
	case !set && ext != ".patch" && ext != ".diff":
		return nil, nil
	case !set:
	case slices.Contains([]string{"no", "n", "false", "f", "0"}, strings.ToLower(apply)):
		return nil, nil
	case !slices.Contains([]string{"yes", "y", "true", "t", "1"}, strings.ToLower(apply)):
		return nil, diag.Userf(s.Pos, "%s: apply=%s is neither yes nor no", s.URL, apply)
	}
	local, err := f.Local(s)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(local); err == nil && info.IsDir() {
		return nil, nil
	}
	file = cmp.Or(file, local)
	if _, err := os.Stat(file); err != nil {
		return nil, diag.Userf(s.Pos, "%s: the patch %s is missing: %w", s.URL, name, err).WithHint("run the recipe's tasks again from the start: `bitbake -c clean`")
	}
	level := cmp.Or(s.Params["striplevel"], s.Params["pnum"], "1")
	if !patchLevel.MatchString(level) {
		return nil, diag.Userf(s.Pos, "%s: striplevel=%s is not a number of folders", s.URL, level)
	}
	if strings.ContainsAny(name, "\t\n/") {
		return nil, diag.Userf(s.Pos, "%q is no name for a patch", name)
	}
	return &patch{source: s, name: name, file: file, level: level}, nil
}

// unfitPatch says why a patch is not for this version of the recipe, "" when it is.
func (c *Call) unfitPatch(s *fetch.Source) (string, error) {
	v, err := c.Values("PV", "SRCREV", "PN")
	if err != nil {
		return "", err
	}
	version, revision := v[0], v[1]
	has := func(name string) (string, bool) { p, ok := s.Params[name]; return p, ok }
	if p, ok := has("minrev"); ok && revision != "" && revision < p {
		return "applies to later revisions", nil
	}
	if p, ok := has("maxrev"); ok && revision != "" && revision > p {
		return "applies to earlier revisions", nil
	}
	if p, ok := has("rev"); ok && revision != "" && !strings.Contains(revision, p) {
		return "does not apply to this revision", nil
	}
	if p, ok := has("notrev"); ok && revision != "" && strings.Contains(revision, p) {
		return "does not apply to this revision", nil
	}
	if p, ok := has("maxver"); ok && recipe.VersionHolds(version, ">", p) {
		return "applies to earlier versions", nil
	}
	if p, ok := has("minver"); ok && recipe.VersionHolds(version, "<", p) {
		return "applies to later versions", nil
	}
	return c.unfitDate(s, v[2])
}

// unfitDate is unfitPatch for mindate= and maxdate=, which are compared with SRCDATE.
func (c *Call) unfitDate(s *fetch.Source, pn string) (string, error) {
	minDate, hasMin := s.Params["mindate"]
	maxDate, hasMax := s.Params["maxdate"]
	if !hasMin && !hasMax {
		return "", nil
	}
	v, err := c.Values("SRCDATE_"+pn, "SRCDATE", "DATE")
	if err != nil {
		return "", err
	}
	date := cmp.Or(v[0], v[1])
	if date == "now" {
		date = v[2]
	}
	switch {
	case date == "":
		return "", diag.Userf(s.Pos, "%s: mindate= and maxdate= are compared with SRCDATE, which is not set", s.URL)
	case hasMax && maxDate < date:
		return "is outdated", nil
	case hasMin && minDate > date:
		return "is predated", nil
	}
	return "", nil
}

// patchDir applies patches to one folder with tool. The first time, what an earlier run applied is taken back first.
func (c *Call) patchDir(ctx context.Context, tool, dir string, patches []patch, first bool) error {
	v, err := c.Values("T", "WORKDIR", "QUILTRCFILE", "PATCH_GIT_USER_NAME", "PATCH_GIT_USER_EMAIL", "SRC_URI")
	if err != nil {
		return err
	}
	temp, work := v[0], v[1]
	list, current := filepath.Join(temp, "patches"), filepath.Join(temp, "patches.current")
	if err := writePatchList(list, patches); err != nil {
		return err
	}
	for _, old := range []string{current, list + ".rej"} {
		if err := os.RemoveAll(old); err != nil {
			return err
		}
	}
	epoch, err := c.Epoch()
	if err != nil {
		return err
	}
	mode := tool
	if tool == "quilt" && isDebianQuilt(dir, work) {
		mode = "debian"
	}
	sub := *c
	sub.programs = []string{patchTools[tool]}
	cmd, cleanup, err := sub.Command(ctx, "/bin/sh", "-c", patchScript, "patch", mode, dir, list, current, strconv.FormatBool(first))
	if err != nil {
		return err
	}
	defer cleanup()
	part := "0"
	if strings.Contains(v[5], ";subpath=") {
		part = "1"
	}
	stamp := fmt.Sprintf("@%d +0000", epoch.Unix())
	cmd.Env = append(cmd.Env, "QUILTRCFILE="+v[2], "PATCH_GIT_USER_NAME="+v[3], "PATCH_GIT_USER_EMAIL="+v[4], "GIT_TREE_IS_PART="+part,
		// A repository that the build folder itself lies in is not the sources'; and the same patches make the same commits.
		"GIT_CEILING_DIRECTORIES="+filepath.Dir(work), "GIT_AUTHOR_DATE="+stamp, "GIT_COMMITTER_DATE="+stamp)
	if err := cmd.Run(ctx); err != nil {
		return c.patchError(err, tool, dir, current, list+".rej", patches)
	}
	return nil
}

// isDebianQuilt tells whether dir is an unpacked Debian source package of format 3.0 (quilt): one that came with its
// upstream archive.
func isDebianQuilt(dir, work string) bool {
	format, err := os.ReadFile(filepath.Join(dir, "debian/source/format"))
	if err != nil || strings.TrimSpace(string(format)) != "3.0 (quilt)" {
		return false
	}
	entries, err := os.ReadDir(work)
	return err == nil && slices.ContainsFunc(entries, func(e os.DirEntry) bool { return strings.Contains(e.Name(), ".orig.tar.") })
}

// patchError names the patch that did not apply.
func (c *Call) patchError(err error, tool, dir, current, rejectFile string, patches []patch) error {
	name, readErr := os.ReadFile(current)
	i := slices.IndexFunc(patches, func(p patch) bool { return p.name == string(name) })
	if readErr != nil || i < 0 {
		return diag.Failedf(c.Pos, "prepare %s for patches with %s: %w", dir, tool, err)
	}
	p := patches[i]
	why := err.Error()
	if exit := (*sandbox.ExitError)(nil); errors.As(err, &exit) {
		why = strings.TrimPrefix(strings.TrimPrefix(exit.Error(), exit.Name), ": ")
	}
	failed := &diag.Error{Kind: diag.Failed, Pos: p.source.Pos, Err: err, Text: fmt.Sprintf("patch %s of %s does not apply to %s: %s", p.name, c.Recipe, dir, why)}
	if hunks := rejects(rejectFile); len(hunks) > 0 {
		for _, h := range hunks[:min(len(hunks), maxRejects)] {
			failed = failed.WithNote("does not fit: %s", h)
		}
		failed = failed.WithNote("all hunks that do not fit are in %s", rejectFile)
	}
	return failed.WithHint("refresh %s for these sources, correct its striplevel= or patchdir=, or take it out of SRC_URI", p.file)
}

// maxRejects bounds how many hunks an error lists.
const maxRejects = 8

// rejects lists the hunks of a file of rejects: "src/main.c, hunk @@ -10,3 +10,3 @@".
func rejects(path string) []string {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil // none, or patch itself refused the file; the log says why
	}
	var out []string
	name := ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if n, ok := strings.CutPrefix(line, "+++ "); ok {
			name, _, _ = strings.Cut(n, "\t")
		} else if strings.HasPrefix(line, "@@ ") {
			out = append(out, name+", hunk "+line)
		}
	}
	return out
}

// writePatchList writes what the script reads: the list, and beside it LIST.N, the message of the commit for patch N.
func writePatchList(path string, patches []patch) error {
	var b strings.Builder
	for i, p := range patches {
		h, err := readPatchHeader(p.file)
		if err != nil {
			return err
		}
		message := fmt.Sprintf("%s.%d", path, i)
		if err := os.WriteFile(message, []byte(cmp.Or(h.message, p.name)), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s\t%s\t%s\t%s\t%s\t%s\n", p.level, p.file, p.name, message, cmp.Or(h.author, "-"), cmp.Or(h.date, "-"))
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}
