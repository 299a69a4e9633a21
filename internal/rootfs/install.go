package rootfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"n3x/internal/debian"
	"n3x/internal/debian/deb"
	"n3x/internal/sandbox"
)

// installer is one run of [Install].
type installer struct {
	o     Options
	draft *Draft
	dpkg  *dpkg
	feed  *feed
	times times
	files map[string]bool // that belong to packages; see owned
}

func newInstaller(o Options, draft *Draft, have []*debian.Package) (*installer, error) {
	i := &installer{o: o, draft: draft, times: make(times)}
	debs := o.Cache
	if debs == "" {
		debs = filepath.Join(draft.temp, "debs")
	}
	if err := os.MkdirAll(debs, 0o755); err != nil {
		return nil, err
	}
	tools, err := newScaffold(filepath.Join(draft.temp, "scaffold"))
	if err != nil {
		return nil, err
	}
	path := toolsDir + ":" + defaultPath
	twins, err := o.twins(filepath.Join(draft.temp, "twins"), have)
	if err != nil {
		return nil, err
	}
	if twins != nil {
		path = toolsDir + ":" + twinsBinDir + ":" + defaultPath
	}
	env := append(environment(path), "DEBIAN_FRONTEND=noninteractive", "DEBCONF_NONINTERACTIVE_SEEN=true", "DEBCONF_NOWARNINGS=yes",
		"SOURCE_DATE_EPOCH="+strconv.FormatInt(o.Epoch.Unix(), 10))
	i.dpkg = &dpkg{draft: draft, debs: debs, tools: tools, twins: twins, env: append(env, o.Env...), log: o.Log, task: o.Task, total: int64(len(o.Install))}
	return i, nil
}

// twins prepares the twins that have, the packages beneath, and those to install allow. Of a package in two versions none is used.
func (o Options) twins(dir string, have []*debian.Package) ([]sandbox.Mount, error) {
	packages := slices.Clone(have)
	for _, d := range o.Install {
		packages = append(packages, d.Package)
	}
	usable := o.Twins.usable(packages)
	if len(usable) == 0 {
		return nil, nil
	}
	return o.Twins.mounts(dir, usable)
}

// install runs the steps and leaves in the draft what a layer holds, apart from the times.
func (i *installer) install(ctx context.Context, steps []step) error {
	var inOrder []Deb
	for _, s := range steps {
		inOrder = append(inOrder, s.unpack...)
	}
	began := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	i.feed = startFeed(ctx, i.dpkg.debs, inOrder)
	err := i.run(ctx, steps)
	cancel()
	if stopped := i.feed.stop(); err == nil && !errors.Is(stopped, context.Canceled) {
		err = stopped
	}
	if err != nil {
		return err
	}
	return i.finish(began)
}

func (i *installer) run(ctx context.Context, steps []step) error {
	preseeded := i.o.Preseed == ""
	if err := i.before(ctx); err != nil {
		return err
	}
	for n, s := range steps {
		switch {
		case s.unpack != nil:
			if err := i.unpack(ctx, s); err != nil {
				return err
			}
		default:
			if err := i.dpkg.configure(ctx, n == len(steps)-1, s.configureArgs()...); err != nil {
				return err
			}
		}
		if !preseeded && i.canPreseed() {
			if err := i.preseed(ctx); err != nil {
				return err
			}
			preseeded = true
		}
	}
	if !preseeded {
		return errors.New("answer debconf's questions: debconf is not among the packages")
	}
	return i.auto()
}

func (s step) configureArgs() []string {
	args := append([]string{"--configure"}, s.configure...)
	if s.bootstrap {
		args = append([]string{"--force-depends"}, args...)
	}
	return args
}

// before prepares an upper layer: what goes, goes first.
func (i *installer) before(ctx context.Context) error {
	if len(i.o.Below) == 0 {
		return nil // see bootstrap
	}
	for _, a := range i.o.Foreign {
		cmd := i.dpkg.command("dpkg", "--add-architecture", string(a))
		if err := i.dpkg.run(ctx, cmd); err != nil {
			return err
		}
	}
	if len(i.o.Remove) == 0 {
		return nil
	}
	return i.dpkg.call(ctx, append([]string{"--force-depends", "--force-remove-protected", "--remove"}, i.o.Remove...)...)
}

func (i *installer) unpack(ctx context.Context, s step) error {
	args := []string{"--no-triggers", "--auto-deconfigure"}
	if s.bootstrap {
		if err := i.bootstrap(ctx, s.unpack); err != nil {
			return err
		}
		args = append(args, "--force-depends")
	}
	for _, pattern := range i.o.Exclude {
		args = append(args, "--path-exclude="+pattern)
	}
	for _, pattern := range i.o.Include {
		args = append(args, "--path-include="+pattern)
	}
	args = append(args, "--unpack")
	for _, d := range s.unpack {
		args = append(args, debsDir+"/"+copyName(d))
	}
	i.dpkg.task.Step("decompressing packages")
	if err := i.feed.wait(s.unpack); err != nil {
		return err
	}
	if err := i.dpkg.call(ctx, args...); err != nil {
		return err
	}
	if i.o.Cache == "" {
		if err := i.feed.drop(s.unpack); err != nil {
			return err
		}
	}
	return i.recordTimes(s.unpack)
}

// bootstrap puts the files of the first packages into place without dpkg, and an empty database.
func (i *installer) bootstrap(ctx context.Context, first []Deb) error {
	// base-files comes first: since Debian 13 it ships the links of the merged /usr.
	inOrder := slices.Clone(first)
	slices.SortStableFunc(inOrder, func(a, b Deb) int { return boolOrder(a.Name == "base-files", b.Name == "base-files") })
	for n, d := range inOrder {
		if err := i.feed.wait([]Deb{d}); err != nil {
			return err
		}
		i.dpkg.task.Step("extracting " + d.Name)
		if err := i.extract(ctx, d); err != nil {
			return err
		}
		if n == 0 {
			if err := mergeUsr(i.draft.Root, i.o.Arch, i.o.Epoch); err != nil {
				return err
			}
		}
	}
	return i.emptyDatabase()
}

func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func (i *installer) extract(ctx context.Context, d Deb) error {
	excluded, err := filter(i.o.Exclude, i.o.Include)
	if err != nil {
		return err
	}
	p, err := deb.OpenFile(filepath.Join(i.dpkg.debs, copyName(d)))
	if err != nil {
		return err
	}
	defer p.Close()
	return p.Unpack(ctx, i.draft.Root, deb.UnpackOptions{Exclude: excluded})
}

// emptyDatabase writes what dpkg needs to start; the folders are in its package.
func (i *installer) emptyDatabase() error {
	db := filepath.Join(i.draft.Root, "var/lib/dpkg")
	files := map[string]string{"status": ""}
	if len(i.o.Foreign) > 0 {
		arches := string(i.o.Arch) + "\n"
		for _, a := range i.o.Foreign {
			arches += string(a) + "\n"
		}
		files["arch"] = arches
	}
	for _, dir := range []string{"info", "updates", "triggers"} {
		if err := os.MkdirAll(filepath.Join(db, dir), 0o755); err != nil {
			return err
		}
	}
	for name, text := range files {
		if err := writeFile(filepath.Join(db, name), text); err != nil {
			return err
		}
	}
	return nil
}

// writeFile is os.WriteFile with mode 0644 whatever the umask.
func writeFile(path, text string) error {
	return errors.Join(os.WriteFile(path, []byte(text), 0o644), os.Chmod(path, 0o644))
}

// canPreseed reports whether debconf can take answers: its files and Perl are there and configured.
func (i *installer) canPreseed() bool {
	list, err := i.draft.Stack().Installed()
	have := newSet(list)
	return err == nil && len(have.byName["debconf"]) > 0 && len(have.byName["perl-base"]) > 0
}

// preseed gives debconf its answers, before the packages that ask are configured.
func (i *installer) preseed(ctx context.Context) error {
	cmd := i.dpkg.command("debconf-set-selections")
	cmd.Stdin = strings.NewReader(i.o.Preseed)
	output := &transcript{log: i.o.Log}
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Run(ctx); err != nil {
		return fmt.Errorf("answer debconf's questions: %w", err)
	}
	return nil
}

// auto marks packages as installed automatically, in the form of APT's extended_states.
func (i *installer) auto() error {
	const states = "var/lib/apt/extended_states"
	stack := i.draft.Stack()
	if _, err := stack.Lookup("var/lib/apt"); err != nil || len(i.o.Auto) == 0 {
		return nil // no apt, nobody to read it
	}
	var text strings.Builder
	if old, err := stack.ReadFile(states); err == nil {
		text.Write(old)
	}
	names := slices.Clone(i.o.Auto)
	slices.Sort(names)
	for _, name := range names {
		name, a, qualified := strings.Cut(name, ":")
		if !qualified || a == "all" {
			a = string(i.o.Arch)
		}
		fmt.Fprintf(&text, "Package: %s\nArchitecture: %s\nAuto-Installed: 1\n\n", name, a)
	}
	p := filepath.Join(i.draft.Root, states)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		return err
	}
	return writeFile(p, text.String())
}
