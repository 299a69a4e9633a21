package isar

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"n3x/internal/arch"
	"n3x/internal/bitbake/datastore"
	"n3x/internal/debian/apt"
	"n3x/internal/diag"
	"n3x/internal/progress"
	"n3x/internal/tools"
)

// Archives are the package archives that a build reads, each refreshed at most once in a run.
type Archives struct {
	ReadFile func(path string) ([]byte, error) // sees the embedded layer too
	Proxies  map[string]string                 // http_proxy and its kin
	Offline  bool
	Now      func() time.Time
	// Locked gives the packages that a lock file names for a configuration; nil when there is no lock file.
	Locked func(ctx context.Context, key string, client *apt.Client, p *progress.Task) (*apt.State, error)
	// LockedSource is likewise the source package of an apt:// entry.
	LockedSource func(key string, r apt.SourceRequest) (*apt.SourcePackage, error)

	mu     sync.Mutex
	opened map[string]*Archive
}

// Archive is one configuration of sources, refreshed. Its packages are loaded when they are first asked for: a build in
// which nothing has changed does without.
type Archive struct {
	Key    string      // names the configuration, e.g. "debian-trixie-amd64"
	Arches []arch.Arch // the native one first
	Client *apt.Client
	Digest string            // identifies the packages on offer
	Texts  map[string]string // what a target's own apt is told: file name below /etc/apt -> content

	once sync.Once
	err  error

	loading sync.Mutex
	state   *apt.State

	toolsOnce sync.Once
	tools     *tools.Provider
	toolsErr  error
}

// Tools gives trees with packages of this archive, kept below dir.
func (a *Archive) Tools(dir string) (*tools.Provider, error) {
	a.toolsOnce.Do(func() {
		a.tools, a.toolsErr = tools.New(tools.Options{Client: a.Client, Arch: a.Arches[0], Dir: dir, StateID: a.Digest, State: a.State})
	})
	return a.tools, a.toolsErr
}

// State are the packages on offer.
func (a *Archive) State(ctx context.Context) (*apt.State, error) {
	a.loading.Lock()
	defer a.loading.Unlock()
	if a.state != nil {
		return a.state, nil
	}
	s, err := a.Client.Load(ctx)
	if err != nil && ctx.Err() == nil {
		s, err = a.Client.Update(ctx, nil) // what was stored is damaged
	}
	a.state = s
	return s, err
}

// Open refreshes the archive that a datastore's DISTRO and architecture variables describe.
func (a *Archives) Open(ctx context.Context, d *datastore.Data, p *progress.Task) (*Archive, error) {
	o, texts, err := a.options(d)
	if err != nil {
		return nil, err
	}
	root, err := rootOf(d)
	if err != nil {
		return nil, err
	}
	key := root.key()
	a.mu.Lock()
	if a.opened == nil {
		a.opened = map[string]*Archive{}
	}
	ar := a.opened[key]
	if ar == nil {
		ar = &Archive{Key: key, Arches: o.Arches, Texts: texts}
		a.opened[key] = ar
	}
	a.mu.Unlock()
	ar.once.Do(func() {
		if a.Locked == nil { // a lock file names its packages itself
			ar.err = a.cached(ctx, d, root, &o, p)
		}
		if ar.err == nil {
			ar.err = a.refresh(ctx, ar, o, p)
		}
	})
	return ar, ar.err
}

// cached replaces the repositories by base-apt when ISAR_USE_CACHED_BASE_REPO says so.
func (a *Archives) cached(ctx context.Context, d *datastore.Data, r root, o *apt.Options, p *progress.Task) error {
	b, err := baseAptOf(d, r)
	if err != nil || b == nil {
		return err
	}
	p.Step("base-apt takes over what was downloaded")
	if err := b.update(ctx, d, *o, func(text string) { p.Line("WARNING: " + text) }); err != nil {
		return err
	}
	codename, err := d.Value("BASE_DISTRO_CODENAME")
	if err != nil {
		return err
	}
	return b.use(o, codename)
}

// All are the archives that were opened, by key.
func (a *Archives) All() map[string]*Archive {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make(map[string]*Archive, len(a.opened))
	for k, v := range a.opened {
		if v.Digest != "" {
			out[k] = v
		}
	}
	return out
}

func (a *Archives) refresh(ctx context.Context, ar *Archive, o apt.Options, p *progress.Task) error {
	c, err := apt.Open(o)
	if err != nil {
		return err
	}
	ar.Client = c
	if a.Locked != nil {
		if ar.state, err = a.Locked(ctx, ar.Key, c, p); err == nil {
			ar.Digest = ar.state.Digest
		}
		return err
	}
	p.Step("refreshing package indices of " + ar.Key)
	ar.Digest, err = c.Digest(ctx, p)
	return err
}

func (a *Archives) options(d *datastore.Data) (apt.Options, map[string]string, error) {
	o := apt.Options{Proxies: a.Proxies, Offline: a.Offline, Now: a.Now, KeyFile: a.ReadFile}
	texts := map[string]string{}
	var err error
	value := func(name string) string {
		v, e := d.Value(name)
		err = errors.Join(err, e)
		return v
	}
	root, rootErr := rootOf(d)
	o.DownloadDir = value("DL_DIR")
	o.Pool = root.base + "-" + value("BASE_DISTRO_CODENAME")
	o.Arches = root.arches
	o.Offline = o.Offline || truth(value("BB_NO_NETWORK"))
	if n, e := strconv.Atoi(value("ISAR_APT_RETRIES")); e == nil {
		o.Retries = n
	}
	if n, e := strconv.Atoi(value("ISAR_APT_DELAY_MAX")); e == nil {
		o.MaxDelay = time.Duration(n) * time.Second
	}
	if n, e := strconv.ParseInt(value("ISAR_APT_DL_LIMIT"), 10, 64); e == nil {
		o.RateLimit = n << 10
	}
	sources, prefs, keys := strings.Fields(value(root.name(d, "DISTRO_APT_SOURCES"))), strings.Fields(value(root.name(d, "DISTRO_APT_PREFERENCES"))), strings.Fields(value(root.name(d, "DISTRO_APT_KEYRINGS")))
	path := value("BBPATH")
	creds := strings.Fields(value("ISAR_APT_CREDS"))
	if err = errors.Join(rootErr, err); err != nil {
		return o, nil, err
	}
	if !o.Arches[0].Known() {
		return o, nil, diag.Userf(d.LastSet("DISTRO_ARCH"), "DISTRO_ARCH is %q, which n3x cannot build for", o.Arches[0]).WithHint("supported: amd64, i386, arm64, armhf, riscv64; the machine's configuration sets it")
	}
	if len(sources) == 0 {
		return o, nil, diag.Userf(d.LastSet("DISTRO_APT_SOURCES"), "DISTRO_APT_SOURCES is empty: there is nowhere to take packages from").WithHint("set it in the distro's configuration to the name of a sources list below BBPATH")
	}
	err = errors.Join(Blame(d, "DISTRO_APT_SOURCES", a.readSources(&o, texts, path, sources)),
		Blame(d, "DISTRO_APT_PREFERENCES", a.readPreferences(&o, texts, path, prefs)),
		Blame(d, "DISTRO_APT_KEYRINGS", a.readKeyrings(&o, path, keys)), readCredentials(&o, d, creds), readRewrites(&o, d))
	return o, texts, err
}

// find reads name, below the first folder of BBPATH that has it.
func (a *Archives) find(bbpath, name, variable string) (file string, data []byte, err error) {
	if filepath.IsAbs(name) {
		data, err = a.ReadFile(name)
		return name, data, err
	}
	for _, dir := range strings.Split(bbpath, ":") {
		file = filepath.Join(dir, name)
		if data, err = a.ReadFile(file); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return file, data, err
		}
	}
	return "", nil, diag.Userf(diag.Pos{}, "%s names %q, which no layer has", variable, name).WithHint("put the file below a layer, e.g. <layer>/%s", name)
}

func (a *Archives) readSources(o *apt.Options, texts map[string]string, bbpath string, names []string) error {
	var all strings.Builder
	for _, name := range names {
		file, data, err := a.find(bbpath, name, "DISTRO_APT_SOURCES")
		if err != nil {
			return err
		}
		list, err := apt.ParseSources(file, data)
		if err != nil {
			return err
		}
		o.Sources = append(o.Sources, list...)
		all.Write(data)
	}
	texts["sources.list.d/0000bootstrap.list"] = all.String()
	return nil
}

func (a *Archives) readPreferences(o *apt.Options, texts map[string]string, bbpath string, names []string) error {
	var all strings.Builder
	for _, name := range names {
		file, data, err := a.find(bbpath, name, "DISTRO_APT_PREFERENCES")
		if err != nil {
			return err
		}
		list, err := apt.ParsePreferences(file, data)
		if err != nil {
			return err
		}
		o.Preferences = append(o.Preferences, list...)
		all.Write(data)
	}
	texts["preferences.d/bootstrap"] = all.String()
	return nil
}

func (a *Archives) readKeyrings(o *apt.Options, bbpath string, names []string) error {
	for _, name := range names {
		if data, ok := apt.DebianKeyring(name); ok {
			o.Keyrings = append(o.Keyrings, data)
			continue
		}
		_, data, err := a.find(bbpath, name, "DISTRO_APT_KEYRINGS")
		if err != nil {
			return err
		}
		o.Keyrings = append(o.Keyrings, data)
	}
	return nil
}

// readCredentials takes ISAR_APT_CREDS: hosts, each with ISAR_APT_CREDS_<host> = "user password".
func readCredentials(o *apt.Options, d *datastore.Data, hosts []string) error {
	for _, host := range hosts {
		v, err := d.Value("ISAR_APT_CREDS_" + host)
		if err != nil {
			return err
		}
		words := strings.Fields(v)
		if len(words) != 2 {
			return diag.Userf(d.LastSet("ISAR_APT_CREDS_"+host), "ISAR_APT_CREDS_%s must be a user and a password, separated by a space; it has %d words", host, len(words))
		}
		if o.Credentials == nil {
			o.Credentials = map[string]apt.Login{}
		}
		o.Credentials[host] = apt.Login{User: words[0], Password: words[1]}
	}
	return nil
}

// readRewrites takes the table that applies: the snapshot's when one is asked for, else the premirrors.
func readRewrites(o *apt.Options, d *datastore.Data) error {
	use, err := d.Value("ISAR_USE_APT_SNAPSHOT")
	if err != nil {
		return err
	}
	if truth(use) {
		d = d.Copy()
		if err := setSnapshotDates(d); err != nil {
			return err
		}
		table, err := d.Value("DISTRO_APT_SNAPSHOT_PREMIRROR")
		if err != nil {
			return err
		}
		if strings.TrimSpace(table) != "" {
			o.Rewrites, err = ParseRewrites("DISTRO_APT_SNAPSHOT_PREMIRROR", table, true)
			return Blame(d, "DISTRO_APT_SNAPSHOT_PREMIRROR", err)
		}
	}
	table, err := d.Value("DISTRO_APT_PREMIRRORS")
	if err != nil {
		return err
	}
	o.Rewrites, err = ParseRewrites("DISTRO_APT_PREMIRRORS", table, false)
	return Blame(d, "DISTRO_APT_PREMIRRORS", err)
}

// Blame gives an error that names no place the one where a variable was last set.
func Blame(d *datastore.Data, variable string, err error) error {
	var e *diag.Error
	if errors.As(err, &e) && e.Pos.IsZero() {
		e.Pos = d.LastSet(variable)
	}
	return err
}

// setSnapshotDates fills ISAR_APT_SNAPSHOT_DATE_INTERNAL, and its flag for the security archive, as snapshot servers
// write a time: 20250131T235959Z.
func setSnapshotDates(d *datastore.Data) error {
	const target = "ISAR_APT_SNAPSHOT_DATE_INTERNAL"
	main, err := snapshotDate(d, "")
	if err != nil {
		return err
	}
	security, err := snapshotDate(d, "security")
	if err != nil {
		return err
	}
	if security == "" {
		security = main
	}
	if err := d.SetVar(target, main); err != nil {
		return err
	}
	return d.SetVarFlag(target, "security", security)
}

func snapshotDate(d *datastore.Data, flag string) (string, error) {
	read := func(name string) (string, error) {
		if flag == "" {
			return d.Value(name)
		}
		v, _, err := d.VarFlag(name, flag, true)
		return v, err
	}
	date, err := read("ISAR_APT_SNAPSHOT_DATE")
	if err != nil || date != "" {
		return date, err
	}
	stamp, err := read("ISAR_APT_SNAPSHOT_TIMESTAMP")
	if err != nil || stamp == "" {
		return "", err
	}
	n, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return "", diag.Userf(d.LastSet("ISAR_APT_SNAPSHOT_TIMESTAMP"), "ISAR_APT_SNAPSHOT_TIMESTAMP is %q, not a number of seconds since 1970", stamp)
	}
	return time.Unix(n, 0).UTC().Format("20060102T150405Z"), nil
}

var backReference = regexp.MustCompile(`\\([0-9])`)

// ParseRewrites reads a table of `regex replacement` pairs separated by a literal backslash-n, as
// DISTRO_APT_PREMIRRORS and BitBake's PREMIRRORS have them.
func ParseRewrites(variable, table string, snapshot bool) ([]apt.Rewrite, error) {
	var out []apt.Rewrite
	for _, line := range strings.Split(strings.ReplaceAll(table, `\n`, "\n"), "\n") {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(words) != 2 {
			return nil, diag.Userf(diag.Pos{}, "%s: %q is not a pattern and a replacement", variable, strings.TrimSpace(line)).WithHint(`write pairs separated by a backslash and an n: "deb\.debian\.org my.mirror\n"`)
		}
		re, err := regexp.Compile(words[0])
		if err != nil {
			return nil, diag.Userf(diag.Pos{}, "%s: pattern %q: %w", variable, words[0], err)
		}
		to := backReference.ReplaceAllString(strings.ReplaceAll(words[1], "$", "$$"), "$${$1}")
		out = append(out, apt.Rewrite{Match: re, Replace: to, Snapshot: snapshot})
	}
	return out, nil
}

// String names the configuration.
func (a *Archive) String() string { return fmt.Sprintf("archive %s", a.Key) }
