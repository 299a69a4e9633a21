package build

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"n3x/internal/arch"
	"n3x/internal/bitbake/pyeval"
	"n3x/internal/debian/apt"
	"n3x/internal/fetch"
	"n3x/internal/tools"
)

// pythonFuncs are the functions of BitBake's fetcher that metadata calls while it is parsed.
func pythonFuncs() map[string]pyeval.Func {
	return map[string]pyeval.Func{
		"bb.fetch.get_checksum_file_list":  checksumFiles,
		"bb.fetch2.get_checksum_file_list": checksumFiles,
	}
}

// checksumFiles lists the files of SRC_URI that lie in layers, as "path:True", for do_fetch[file-checksums].
func checksumFiles(_ context.Context, s pyeval.Site, _ []any, _ map[string]any) (any, error) {
	uri, _, err := s.Vars.Var("SRC_URI", true)
	if err != nil {
		return nil, err
	}
	path, _, err := s.Vars.Var("FILESPATH", true)
	if err != nil {
		return nil, err
	}
	f, err := fetch.New(fetch.Options{FilesPath: strings.Split(path, ":")})
	if err != nil {
		return nil, err
	}
	sources, err := fetch.ParseSources(fetch.Request{SrcURI: uri, Pos: s.Pos})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, src := range sources {
		if src.Scheme != "file" {
			continue
		}
		found, err := f.Local(src)
		if err != nil {
			out = append(out, src.Path+":False") // do_fetch says what is missing, and where it was looked for
			continue
		}
		out = append(out, found+":True")
	}
	return strings.Join(out, " "), nil
}

// ToolsOptions say where the tools tree comes from.
type ToolsOptions struct {
	DownloadDir string // DL_DIR
	CacheDir    string // SSTATE_DIR
	Rewrites    []apt.Rewrite
	Proxies     map[string]string
	Offline     bool
	Now         func() time.Time
	Locked      *Lock  // nil = the archive's newest packages
	StateID     string // of the lock's packages
}

// toolsSuite is the Debian release that the tools come from, whatever the image's: the same tools make the same images.
const toolsSuite = "trixie"

// OpenTools makes the provider of the tools tree.
func OpenTools(o ToolsOptions) (*tools.Provider, error) {
	text := fmt.Sprintf("deb http://deb.debian.org/debian %[1]s main\ndeb http://deb.debian.org/debian-security %[1]s-security main\ndeb http://deb.debian.org/debian %[1]s-updates main\n", toolsSuite)
	sources, err := apt.ParseSources("tools.list", []byte(text))
	if err != nil {
		return nil, err
	}
	keyring, ok := apt.DebianKeyring("debian-archive-keyring.gpg")
	if !ok {
		return nil, fmt.Errorf("BUG: n3x carries no Debian keyring")
	}
	client, err := apt.Open(apt.Options{
		Sources: sources, Arches: []arch.Arch{arch.Host()}, Keyrings: [][]byte{keyring}, DownloadDir: o.DownloadDir, Pool: "debian-" + toolsSuite,
		Rewrites: o.Rewrites, Proxies: o.Proxies, Offline: o.Offline, Now: o.Now,
	})
	if err != nil {
		return nil, err
	}
	t := tools.Options{Client: client, Dir: filepath.Join(o.CacheDir, "n3x", "tools"), StateID: o.StateID}
	if o.Locked != nil {
		t.State = func(ctx context.Context) (*apt.State, error) { return o.Locked.state(ctx, toolsKey, client, nil) }
	}
	return tools.New(t)
}
