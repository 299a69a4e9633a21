package fetch

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sync/errgroup"

	"n3x/internal/atomicfile"
	"n3x/internal/diag"
)

// Packages of npm registries, as bb.fetch2's npm.py and npmsw.py have them: the address that the registry gives is
// remembered beside the file in DL_DIR/npm2 (NAME-VERSION.tgz.resolved), which both can read.

// semver is a version that npm takes, e.g. "1.2.3-rc.1+x".
var semver = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?$`)

var notInNpmName = regexp.MustCompile(`[^-a-z0-9]`)

// npmFile is a package's file below DL_DIR.
func npmFile(name, version string) string {
	name = notInNpmName.ReplaceAllString(strings.ToLower(strings.ReplaceAll(name, "/", "-")), "")
	return "npm2/" + strings.Trim(name, "-") + "-" + version + ".tgz"
}

func (s *Source) npmLocal() string {
	if n := s.Params["downloadfilename"]; n != "" {
		return "npm2/" + n
	}
	return npmFile(s.Params["package"], s.Params["version"])
}

func (s *Source) supportedNpm() error {
	switch version := s.Params["version"]; {
	case s.Params["package"] == "":
		return diag.Userf(s.Pos, "%s has no package= parameter", s.URL)
	case version == "":
		return diag.Userf(s.Pos, "%s has no version= parameter", s.URL)
	case version != "latest" && !semver.MatchString(version):
		return diag.Userf(s.Pos, "%s: version=%s is neither of the form 1.2.3 nor latest", s.URL, version)
	case !localPath(s.npmLocal()):
		return diag.Userf(s.Pos, "%s: the name %q leads out of DL_DIR", s.URL, s.npmLocal())
	}
	return nil
}

// fetchNpm asks the registry where the package's file is, unless that is known, and fetches it.
func (f *Fetcher) fetchNpm(ctx context.Context, s *Source) error {
	resolved := filepath.Join(f.o.DownloadDir, s.npmLocal()+".resolved")
	text, err := os.ReadFile(resolved)
	if err != nil || s.Params["version"] == "latest" {
		if s.Params["version"] == "latest" {
			f.warn(s.URL + " takes the latest version; the build is not reproducible")
		}
		address, err := f.askRegistry(ctx, s)
		if err != nil {
			return s.wrapFetch(err)
		}
		if err := os.MkdirAll(filepath.Dir(resolved), 0o777); err != nil {
			return err
		}
		text = []byte(address)
		if err := atomicfile.Write(resolved, text, 0o666); err != nil {
			return err
		}
	}
	file, err := s.derived(string(text))
	if err != nil {
		return s.wrapFetch(fmt.Errorf("%s: %w", resolved, err))
	}
	return f.fetchHTTP(ctx, file)
}

// derived is a source that another leads to.
func (s *Source) derived(entry string) (*Source, error) {
	d, err := Parse(entry)
	if err != nil {
		return nil, err
	}
	d.Pos = s.Pos
	if err := d.setSums(Request{}); err != nil {
		return nil, err
	}
	if d.isGit() {
		if err := d.setRevisions(nil); err != nil {
			return nil, err
		}
	} else if len(d.Sums) == 0 {
		return nil, fmt.Errorf("%q has no checksum", entry)
	}
	return d, d.supported()
}

// npmVersion is what a registry tells of one version.
type npmVersion struct {
	Version string `json:"version"`
	Dist    struct {
		Tarball   string `json:"tarball"`
		Integrity string `json:"integrity"`
		Shasum    string `json:"shasum"`
	} `json:"dist"`
}

// askRegistry gives the address of a package's file as an entry of SRC_URI, with its checksum.
func (f *Fetcher) askRegistry(ctx context.Context, s *Source) (string, error) {
	name, version := s.Params["package"], s.Params["version"]
	address := strings.Replace(strings.TrimSuffix(s.address(), "/"), "npm://", "https://", 1) + "/" + strings.ReplaceAll(url.PathEscape(name), "%40", "@")
	data, err := f.get(ctx, address)
	if err != nil {
		return "", fmt.Errorf("look up %s@%s: %w", name, version, err)
	}
	var p struct {
		Tags     map[string]string     `json:"dist-tags"`
		Versions map[string]npmVersion `json:"versions"`
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return "", fmt.Errorf("%s gives no description of a package: %w", address, err)
	}
	if version == "latest" {
		version = p.Tags["latest"]
	}
	v, ok := p.Versions[version]
	if !ok || v.Dist.Tarball == "" {
		return "", fmt.Errorf("%s has no version %q of %s", s.address(), version, name)
	}
	sum := "sha1sum=" + v.Dist.Shasum
	if v.Dist.Integrity != "" {
		if sum, err = npmIntegrity(v.Dist.Integrity); err != nil {
			return "", err
		}
	}
	return v.Dist.Tarball + ";downloadfilename=" + s.npmLocal() + ";" + sum, nil
}

// npmIntegrity turns subresource integrity ("sha512-BASE64") into a parameter of an entry.
func npmIntegrity(text string) (string, error) {
	algorithm, value, ok := strings.Cut(strings.Fields(text + " ")[0], "-")
	data, err := base64.StdEncoding.DecodeString(value)
	if !ok || err != nil || sumLength[algorithm] != 2*len(data) {
		return "", fmt.Errorf("integrity %q is not a checksum of a known kind", text)
	}
	return algorithm + "sum=" + hex.EncodeToString(data), nil
}

// maxAnswer bounds what a registry may answer.
const maxAnswer = 64 << 20

// get reads a small resource.
func (f *Fetcher) get(ctx context.Context, address string) ([]byte, error) {
	if err := f.allowed(address); err != nil {
		return nil, err
	}
	if f.o.PremirrorOnly {
		return nil, errPremirrorOnly
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "n3x")
	req.Header.Set("Accept", "application/json")
	f.logIn(req, nil)
	resp, err := f.o.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("server answers %s", resp.Status)
	}
	return readAll(resp.Body, maxAnswer)
}

// unpackNpm unpacks a package's file into destsuffix below dir.
func (f *Fetcher) unpackNpm(ctx context.Context, s *Source, dir string) error {
	to := s.Params["destsuffix"]
	if to == "" {
		to = "npm"
	}
	dest, err := s.below(dir, "destsuffix", to)
	if err != nil {
		return err
	}
	return s.wrap(f.extractNpm(ctx, filepath.Join(f.o.DownloadDir, s.npmLocal()), dest))
}

// extractNpm unpacks a package without its first folder. What is a folder or executable for one is so for all.
func (f *Fetcher) extractNpm(ctx context.Context, file, dest string) error {
	if err := f.extractAs(ctx, file, &archive{pack: "gz"}, dest, 1); err != nil {
		return err
	}
	return filepath.WalkDir(dest, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if mode := info.Mode().Perm(); (d.IsDir() || mode&0o111 != 0) && mode&0o111 != 0o111 {
			return os.Chmod(path, mode|0o111)
		}
		return nil
	})
}

// fetchAllOf fetches sources that another one leads to.
func (f *Fetcher) fetchAllOf(ctx context.Context, list []*Source) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(f.o.Parallel)
	for _, s := range list {
		g.Go(func() error { return f.fetchOne(ctx, s) })
	}
	return g.Wait()
}
