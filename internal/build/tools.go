package build

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"n3x/internal/arch"
	"n3x/internal/debian/apt"
	"n3x/internal/tools"
)

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
