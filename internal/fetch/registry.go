package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"n3x/internal/diag"
)

// Sources that name a package of a registry and are fetched as one file from the web. The names below DL_DIR and what is
// unpacked are those of bb.fetch2's crate.py and gomod.py.

// onWeb reports whether the source is one file that is fetched from a web server.
func (s *Source) onWeb() bool {
	switch s.Scheme {
	case "http", "https", "crate", "gomod":
		return true
	}
	return false
}

// setDerived gives the parameters that the scheme implies.
func (s *Source) setDerived() {
	switch s.Scheme {
	case "crate":
		parts := strings.Split(s.address(), "/")
		if len(parts) < 5 {
			return // refused by supported
		}
		host, name, version := strings.Join(parts[2:len(parts)-2], "/"), parts[len(parts)-2], parts[len(parts)-1]
		if host == "crates.io" {
			host = "crates.io/api/v1/crates"
		}
		s.web = "https://" + host + "/" + name + "/" + version + "/download"
		s.Params["downloadfilename"] = name + "-" + version + ".crate"
		if s.Params["name"] == "" {
			s.Params["name"] = name + "-" + version
		}
	case "gomod":
		s.Params["name"] = s.module() + "@" + s.Params["version"]
		s.Params["downloadfilename"] = strings.ReplaceAll(s.module(), "/", ".") + "@" + s.Params["version"] + s.moduleEnd()
	case "gomodgit":
		s.setModuleRepository()
	}
}

func (s *Source) supportedRegistry() error {
	if s.Scheme == "crate" && s.web == "" {
		return diag.Userf(s.Pos, "%s is not crate://HOST/NAME/VERSION", s.URL).WithHint("write crate://crates.io/glob/0.2.11")
	}
	if s.Scheme != "crate" && s.Params["version"] == "" {
		return diag.Userf(s.Pos, "%s has no version= parameter", s.URL)
	}
	if strings.HasPrefix(s.Scheme, "gomod") && (!localPath(s.module()) || !localPath(s.Params["version"])) {
		return diag.Userf(s.Pos, "%s: %q is no module", s.URL, s.module()+"@"+s.Params["version"])
	}
	return s.checkLocalName()
}

// webAddress is where the file is fetched from when no mirror has it.
func (f *Fetcher) webAddress(s *Source) string {
	if s.Scheme == "gomod" {
		return "https://" + f.o.GoProxy + quotePath("/"+modulePath(s.module(), s.Params["version"])+s.moduleEnd())
	}
	if s.web != "" {
		return s.web
	}
	return s.address()
}

// module is the path of a Go module.
func (s *Source) module() string { return s.Host + strings.TrimSuffix(s.Path, "/") }

// moduleEnd is the end of the file's name.
func (s *Source) moduleEnd() string {
	if s.flag("mod") {
		return ".mod"
	}
	return ".zip"
}

// modulePath is a version's place on a module proxy and in the module cache, without its end.
func modulePath(module, version string) string { return escapeModule(module + "/@v/" + version) }

// escapeModule writes capital letters as Go's module cache does.
func escapeModule(s string) string {
	var b strings.Builder
	for _, c := range s {
		if 'A' <= c && c <= 'Z' {
			b.WriteByte('!')
			c += 'a' - 'A'
		}
		b.WriteRune(c)
	}
	return b.String()
}

// unpackCrate unpacks a crate where cargo finds it when it is told of cargo_home/bitbake, with its checksum.
func (f *Fetcher) unpackCrate(ctx context.Context, s *Source, dir string) error {
	local, err := f.Local(s)
	if err != nil {
		return err
	}
	if f.o.BasePackage != "" && f.o.BasePackage == s.Params["name"] {
		return s.wrap(f.extractAs(ctx, local, &archive{pack: "gz"}, dir, 0))
	}
	vendor := filepath.Join(dir, "cargo_home", "bitbake")
	if err := f.extractAs(ctx, local, &archive{pack: "gz"}, vendor, 0); err != nil {
		return s.wrap(err)
	}
	sums, err := fileSums(local, "sha256")
	if err != nil {
		return s.wrap(err)
	}
	text, err := json.Marshal(map[string]any{"files": map[string]string{}, "package": sums["sha256"]})
	if err != nil {
		return err
	}
	return s.wrap(f.put(vendor, strings.TrimSuffix(path.Base(s.LocalName()), ".crate")+"/.cargo-checksum.json", string(text)))
}

// put writes a small file below dir.
func (f *Fetcher) put(dir, name, text string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	t, err := openTree(dir, 0)
	if err != nil {
		return err
	}
	defer t.close()
	return t.file(name, strings.NewReader(text), 0o644, time.Time{})
}

// unpackModule puts a Go module into the module cache below dir, with its go.mod file.
func (f *Fetcher) unpackModule(ctx context.Context, s *Source, dir string) error {
	local, err := f.Local(s)
	if err != nil {
		return err
	}
	cache := filepath.Join(dir, f.o.GoCache, "cache", "download")
	name := modulePath(s.module(), s.Params["version"])
	if err := os.MkdirAll(cache, 0o777); err != nil {
		return s.wrap(err)
	}
	t, err := openTree(cache, 0)
	if err != nil {
		return s.wrap(err)
	}
	defer t.close()
	in, err := os.Open(local)
	if err != nil {
		return s.wrap(err)
	}
	defer in.Close()
	if err := t.file(name+s.moduleEnd(), ctxReader{ctx, in}, 0o644, time.Time{}); err != nil || s.flag("mod") {
		return s.wrap(err)
	}
	mod, err := moduleFile(local, s.module()+"@"+s.Params["version"]+"/go.mod")
	if err != nil {
		return s.wrap(err)
	}
	if mod == "" {
		mod = "module " + s.module() + "\n"
	}
	return s.wrap(t.file(name+".mod", strings.NewReader(mod), 0o644, time.Time{}))
}

// maxGoMod bounds a go.mod file, as the go command does.
const maxGoMod = 16 << 20

// moduleFile reads one file of a zip archive; "" when it is not there.
func moduleFile(archive, name string) (string, error) {
	zr, err := openZip(archive)
	if err != nil {
		return "", err
	}
	defer zr.Close()
	for _, e := range zr.File {
		if e.Name != name {
			continue
		}
		r, err := e.Open()
		if err != nil {
			return "", err
		}
		defer r.Close()
		data, err := io.ReadAll(io.LimitReader(r, maxGoMod))
		return string(data), err
	}
	return "", nil
}

// setModuleRepository turns a gomodgit:// entry into the git source that holds the module.
func (s *Source) setModuleRepository() {
	g := *s
	g.Scheme, g.Params = "git", map[string]string{}
	for k, v := range s.Params {
		g.Params[k] = v
	}
	if repo := s.Params["repo"]; repo != "" {
		g.Host, g.Path, _ = strings.Cut(repo, "/")
		g.Path = "/" + g.Path
	}
	if g.Params["protocol"] == "" {
		g.Params["protocol"] = "https"
	}
	if g.Params["branch"] == "" {
		g.Params["nobranch"] = "1"
	}
	if sub := s.Params["subdir"]; sub != "" {
		g.Params["subpath"] = sub
	}
	g.Params["bareclone"] = "1"
	g.Params["name"] = s.module() + "@" + s.Params["version"]
	if rev := s.Params["srcrev"]; rev != "" {
		g.Params["rev"] = rev
	}
	delete(g.Params, "subdir")
	s.repository = &g
}

// repositoryKey names a repository in Go's module cache.
func (s *Source) repositoryKey() string {
	return "git3:" + s.repository.Params["protocol"] + "://" + s.repository.Host + strings.TrimSuffix(s.repository.Path, "/")
}

// unpackModuleRepository puts the repository into the module cache, and the module's zip and go.mod files made of it.
func (f *Fetcher) unpackModuleRepository(ctx context.Context, s *Source, dir string) error {
	g := *s.repository
	sum := sha256.Sum256([]byte(s.repositoryKey()))
	vcs := path.Join(f.o.GoCache, "cache/vcs", hex.EncodeToString(sum[:]))
	g.Params["subdir"] = vcs
	if err := f.unpackGit(ctx, &g, dir); err != nil {
		return err
	}
	if err := f.put(dir, vcs+".info", s.repositoryKey()); err != nil {
		return s.wrap(err)
	}
	files, mod, err := f.moduleTree(ctx, s, filepath.Join(dir, vcs))
	if err != nil {
		return s.wrap(err)
	}
	name := modulePath(s.module(), s.Params["version"])
	cache := filepath.Join(dir, f.o.GoCache, "cache/download")
	if err := f.put(cache, name+".mod", mod); err != nil {
		return s.wrap(err)
	}
	return s.wrap(f.writeModuleZip(ctx, s, filepath.Join(dir, vcs), files, filepath.Join(cache, name+".zip")))
}
