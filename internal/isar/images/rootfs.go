package images

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/arch"
	"n3x/internal/atomicfile"
	"n3x/internal/debian"
	"n3x/internal/debian/solve"
	"n3x/internal/diag"
	"n3x/internal/isar"
	"n3x/internal/progress"
	"n3x/internal/rootfs"
)

// layerFormat is part of the keys of shared layers that are made here; it changes when equal inputs give another layer.
const layerFormat = "n3x layer 3"

// install is do_rootfs_install: the functions of ROOTFS_CONFIGURE_COMMAND, then those of ROOTFS_INSTALL_COMMAND.
func (r *Room) install(ctx context.Context, c *isar.Call) error {
	order, late, err := installOrder(c)
	if err != nil {
		return err
	}
	if !late {
		if err := r.bootstrap(ctx, c, order); err != nil {
			return err
		}
	}
	for i, name := range order {
		c.Progress.Advance(int64(i), int64(len(order)), "functions")
		if name != "rootfs_install_pkgs_install" {
			c.Progress.Step(name)
		}
		if err := c.Exec(ctx, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// Ahead makes the shared layers of Debian packages and locales that do_rootfs_install will most probably want: those for
// ROOTFS_PACKAGES without the packages of this build, which need not exist yet.
//
// Where an earlier build has left its choice, the layers are most probably there, and nothing is done.
func (r *Room) Ahead(ctx context.Context, c *isar.Call) error {
	work, err := c.Value("WORKDIR")
	if err != nil {
		return err
	}
	if _, err := ReadSelection(work); err == nil {
		return nil
	}
	configure, err := c.Words("ROOTFS_CONFIGURE_COMMAND")
	if err != nil {
		return err
	}
	if late, err := deferrable(c, configure); err != nil || !late {
		return err
	}
	ar, err := r.Archives.Open(ctx, c.Data, c.Progress)
	if err != nil {
		return err
	}
	state, err := ar.State(ctx)
	if err != nil {
		return err
	}
	words, err := c.Words("ROOTFS_PACKAGES")
	if err != nil {
		return err
	}
	known := slices.DeleteFunc(words, func(w string) bool {
		name, _, _ := strings.Cut(w, "=")
		return len(state.Named(name, ar.Arches[0])) == 0
	})
	if err := c.Data.SetVar("ROOTFS_PACKAGES", strings.Join(known, " ")); err != nil {
		return err
	}
	s, err := r.choose(ctx, c)
	if err != nil {
		return err
	}
	_, _, err = r.debianLayers(ctx, c, s, s.all)
	return err
}

// debianLayers finds or makes the shared layers of packages and of the locales on top of them.
func (r *Room) debianLayers(ctx context.Context, c *isar.Call, s *selection, packages []*debian.Package) (string, []isar.Layer, error) {
	key, layer, err := r.shared(ctx, c, s, "", nil, packages)
	if err != nil {
		return "", nil, err
	}
	layer.Base = true
	key, layers, err := r.localeLayer(ctx, c, key, []isar.Layer{layer})
	if err == nil {
		layers[len(layers)-1].Base = true
	}
	return key, layers, err
}

// selection is what goes into a root file system.
type selection struct {
	arch    arch.Arch
	foreign []arch.Arch
	archive *isar.Archive
	base    []*debian.Package // what is there before anything is asked for
	all     []*debian.Package // everything, base included
	auto    map[*debian.Package]bool
	own     map[*debian.Package]string // packages of isar-apt, with their files

	deployed []rootfs.Deb // own, as a list
}

// choose solves for ROOTFS_PACKAGES on top of the minimal system.
func (r *Room) choose(ctx context.Context, c *isar.Call) (*selection, error) {
	ar, err := r.Archives.Open(ctx, c.Data, c.Progress)
	if err != nil {
		return nil, err
	}
	s := &selection{archive: ar, own: map[*debian.Package]string{}, auto: map[*debian.Package]bool{}}
	s.arch, s.foreign = ar.Arches[0], ar.Arches[1:]
	c.Progress.Step("choosing packages")
	state, err := ar.State(ctx)
	if err != nil {
		return nil, err
	}
	universe := slices.Clone(state.Packages)
	if err := s.addOwn(c, &universe); err != nil {
		return nil, err
	}
	bootstrap, err := c.Words("DISTRO_BOOTSTRAP_BASE_PACKAGES")
	if err != nil {
		return nil, err
	}
	fresh := solve.NewUniverse(solve.Request{Packages: universe, Arch: s.arch, Foreign: s.foreign})
	essential := names(solve.Essential(universe, s.arch))
	minimal, err := fresh.Solve(unique(slices.Concat(essential, names(solve.Required(universe, s.arch)), bootstrap))...)
	if err != nil {
		return nil, s.unsolved(c, "the minimal system", err)
	}
	s.base = minimal.Install
	words, err := c.Words("ROOTFS_PACKAGES")
	if err != nil {
		return nil, err
	}
	words = unique(words)
	plan, err := solve.Solve(solve.Request{Packages: universe, Arch: s.arch, Foreign: s.foreign, Installed: s.base, Install: words})
	if err != nil {
		return nil, s.unsolved(c, "ROOTFS_PACKAGES", err)
	}
	first, err := fresh.Solve(essential...)
	if err != nil {
		return nil, s.unsolved(c, "the essential packages", err)
	}
	gone := func(p *debian.Package) bool {
		same := func(q *debian.Package) bool { return q.Name == p.Name && q.Architecture == p.Architecture }
		return slices.ContainsFunc(plan.Remove, same) || slices.ContainsFunc(plan.Upgrade, same)
	}
	s.all = slices.Concat(slices.DeleteFunc(slices.Clone(s.base), gone), plan.Install, plan.Upgrade)
	s.auto = automatic(first, minimal, plan, words)
	slices.SortFunc(s.all, byName)
	return s, nil
}

// automatic is what apt notes as installed because something else needs it. That is nothing of first, the essential
// packages and what they need, which are there before apt is, and nothing that words ask for.
func automatic(first, minimal, plan *solve.Plan, words []string) map[*debian.Package]bool {
	auto := maps.Clone(plan.Auto)
	for p := range minimal.Auto {
		if !slices.Contains(first.Install, p) && !slices.Contains(words, p.Name) && !slices.Contains(words, p.Name+":"+p.Architecture) {
			auto[p] = true
		}
	}
	return auto
}

func names(packages []*debian.Package) []string {
	list := make([]string, len(packages))
	for i, p := range packages {
		list[i] = p.Name
	}
	return list
}

func byName(a, b *debian.Package) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Architecture, b.Architecture))
}

func unique(words []string) []string {
	var out []string
	for _, w := range words {
		if !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

func (s *selection) unsolved(c *isar.Call, what string, err error) error {
	return c.NameRecipes(s.deployed, diag.Userf(c.Pos, "%s of %s cannot be installed: %w", what, c.Recipe, err))
}

// addOwn adds the packages that recipes of this build deployed.
func (s *selection) addOwn(c *isar.Call, universe *[]*debian.Package) error {
	var err error
	s.deployed, err = c.DeployedPackages()
	for _, d := range s.deployed {
		s.own[d.Package] = d.Path
		*universe = append(*universe, d.Package)
	}
	return err
}

// pkgsInstall is rootfs_install_pkgs_install. From nothing it makes, or finds, three shared layers: Debian's packages,
// the locales, and the packages of this build. On a tree that functions have already changed it makes one layer.
func (r *Room) pkgsInstall(ctx context.Context, c *isar.Call) error {
	s, err := r.choose(ctx, c)
	if err != nil {
		return err
	}
	if err := s.tellChanges(c); err != nil {
		return err
	}
	var layers []isar.Layer
	if c.Tree() != nil {
		if layers, err = r.installOnto(ctx, c, s); err != nil {
			return err
		}
	} else {
		debianOnly, rest := s.split()
		var key string
		if key, layers, err = r.debianLayers(ctx, c, s, debianOnly); err != nil {
			return err
		}
		if len(rest) > 0 {
			_, layer, err := r.shared(ctx, c, s, key, layers, rest)
			if err != nil {
				return err
			}
			layers = append(layers, layer)
		}
	}
	if err := c.MountTree(layers); err != nil {
		return err
	}
	if err := r.writeSources(c, s); err != nil {
		return err
	}
	return s.remember(c)
}

// split separates what depends on packages of this build, and these themselves, from the rest.
func (s *selection) split() (debianOnly, rest []*debian.Package) {
	top := map[*debian.Package]bool{}
	for p := range s.own {
		top[p] = true
	}
	needs := func(p *debian.Package) bool {
		for _, d := range slices.Concat(p.PreDepends, p.Depends) {
			for _, alt := range d {
				for q := range top {
					if q.Name == alt.Name || slices.ContainsFunc(q.Provides, func(a debian.Alternatives) bool { return a[0].Name == alt.Name }) {
						return true
					}
				}
			}
		}
		return false
	}
	for grown := true; grown; {
		grown = false
		for _, p := range s.all {
			if !top[p] && needs(p) {
				top[p], grown = true, true
			}
		}
	}
	for _, p := range s.all {
		if top[p] {
			rest = append(rest, p)
		} else {
			debianOnly = append(debianOnly, p)
		}
	}
	return debianOnly, rest
}

// shared finds or makes the layer that packages make on the layers below it, whose key is below.
func (r *Room) shared(ctx context.Context, c *isar.Call, s *selection, below string, stack []isar.Layer, packages []*debian.Package) (string, isar.Layer, error) {
	o := s.options(packages, stack)
	key, err := rootfs.Key(o, below)
	if err != nil {
		return "", isar.Layer{}, err
	}
	key = key[:32]
	layer := isar.Layer{Task: c.Name, Dir: filepath.Join(r.Layers, key), Shared: true}
	lock, err := atomicfile.WaitLock(layer.Dir + ".lock")
	if err != nil {
		return "", layer, err
	}
	defer lock.Unlock()
	// The time of a finished layer's root is the layer's.
	if st, err := os.Stat(layer.Dir); err == nil {
		fmt.Fprintf(c.Log, "layer %s with %d packages is in the cache\n", key, len(packages))
		layer.Epoch = st.ModTime()
		return key, layer, nil
	}
	o.Dir = layer.Dir
	made, err := r.installPackages(ctx, c, s, o)
	if err != nil {
		return "", layer, err
	}
	layer.Epoch = made.Epoch
	return key, layer, nil
}

// options is what installing packages of the selection on the layers of stack takes, without the files of the archive.
func (s *selection) options(packages []*debian.Package, stack []isar.Layer) rootfs.Options {
	o := rootfs.Options{Arch: s.arch, Foreign: s.foreign}
	for _, l := range stack {
		o.Below = append(o.Below, l.Dir)
		// No older than the layers below: a recipe's package bears the time of its changelog, perhaps 1970.
		if l.Epoch.After(o.Epoch) {
			o.Epoch = l.Epoch
		}
	}
	for _, p := range packages {
		o.Install = append(o.Install, rootfs.Deb{Package: p, Path: s.own[p]})
		if s.auto[p] {
			o.Auto = append(o.Auto, p.Name+":"+p.Architecture)
		}
	}
	return o
}

func (r *Room) installPackages(ctx context.Context, c *isar.Call, s *selection, o rootfs.Options) (*rootfs.Layer, error) {
	if err := s.fetch(ctx, o.Install, c.Progress); err != nil {
		return nil, err
	}
	if err := errors.Join(c.Emulate(ctx, o.Arch), c.EmulateAlso(ctx, o.Foreign)); err != nil {
		return nil, err
	}
	var err error
	if o.Twins, err = twins(ctx, c, o.Arch); err != nil {
		return nil, err
	}
	o.Log, o.Task = c.Log, c.Progress
	c.Progress.Step(fmt.Sprintf("installing %d packages", len(o.Install)))
	layer, err := rootfs.Install(ctx, o)
	return layer, c.NameRecipes(s.deployed, err)
}

// twins are programs of this machine that may stand in for those of a root file system of architecture a while it is made.
func twins(ctx context.Context, c *isar.Call, a arch.Arch) (rootfs.Twins, error) {
	if a.RunsOn(arch.Host()) {
		return rootfs.Twins{}, nil
	}
	dir, versions, err := c.Tools.Tree(ctx, rootfs.TwinPackages()...)
	return rootfs.Twins{Root: dir, Versions: versions}, err
}

// fetch downloads what is not from this build.
func (s *selection) fetch(ctx context.Context, debs []rootfs.Deb, p *progress.Task) error {
	var wanted []*debian.Package
	var at []int
	for i, d := range debs {
		if d.Path == "" {
			wanted, at = append(wanted, d.Package), append(at, i)
		}
	}
	p.Step(fmt.Sprintf("fetching %d packages", len(wanted)))
	paths, err := s.archive.Client.Fetch(ctx, wanted, p)
	for i, path := range paths {
		debs[at[i]].Path = path
	}
	return err
}

// bootstrap installs only the minimal system and mounts it, for functions that want to find it before the packages. When they only
// care for packages of this build, Debian's are there already, from the cache.
func (r *Room) bootstrap(ctx context.Context, c *isar.Call, order []string) error {
	s, err := r.choose(ctx, c)
	if err != nil {
		return err
	}
	ownOnly, err := beforeOwn(c, order)
	if err != nil {
		return err
	}
	if ownOnly {
		debianOnly, _ := s.split()
		_, layers, err := r.debianLayers(ctx, c, s, debianOnly)
		if err != nil {
			return err
		}
		return c.MountTree(layers)
	}
	_, layer, err := r.shared(ctx, c, s, "", nil, s.base)
	if err != nil {
		return err
	}
	return c.MountTree([]isar.Layer{layer})
}

// installOnto installs the packages that the mounted tree does not have yet as one layer on top of it.
func (r *Room) installOnto(ctx context.Context, c *isar.Call, s *selection) ([]isar.Layer, error) {
	have, err := installed(c.Tree())
	if err != nil {
		return nil, err
	}
	var missing []*debian.Package
	for _, p := range s.all {
		if !slices.ContainsFunc(have, func(q *debian.Package) bool { return q.ID() == p.ID() }) {
			missing = append(missing, p)
		}
	}
	layers, err := c.KeepTree("before")
	if err != nil || len(missing) == 0 {
		return layers, err
	}
	work, err := c.Value("WORKDIR")
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(work, "layers", c.Name+".packages")
	if err := isar.RemoveLayer(dir); err != nil {
		return nil, err
	}
	o := s.options(missing, layers)
	o.Dir = dir
	if _, err := r.installPackages(ctx, c, s, o); err != nil {
		return nil, err
	}
	return append(layers, isar.Layer{Task: c.Name, Dir: dir}), nil
}

// localeLayer does the work of image_install_localepurge_install on Debian's packages alone, where many images share it.
// The function itself then finds little left to do.
func (r *Room) localeLayer(ctx context.Context, c *isar.Call, key string, layers []isar.Layer) (string, []isar.Layer, error) {
	commands, err := c.Words("ROOTFS_INSTALL_COMMAND")
	if err != nil {
		return "", nil, err
	}
	natives, pure, err := c.NativesOf("image_install_localepurge_install")
	if err != nil || !pure || !slices.Equal(natives, []string{"image.locales"}) || !slices.Contains(commands, "image_install_localepurge_install") {
		return key, layers, err
	}
	v, err := c.Values("LOCALE_GEN", "LOCALE_DEFAULT")
	if err != nil {
		return "", nil, err
	}
	sum := sha256.Sum256(fmt.Append(nil, layerFormat, " locales ", key, v))
	key = hex.EncodeToString(sum[:])[:32]
	c.Progress.Step("generating locales")
	l, err := c.Derive(filepath.Join(r.Layers, key), layers, layers[0].Epoch, func(c *isar.Call) error { return locales(ctx, c) })
	return key, append(slices.Clone(layers), l), err
}

// writeSources tells the finished system's apt where its packages came from.
func (r *Room) writeSources(c *isar.Call, s *selection) error {
	t, err := tree(c)
	if err != nil {
		return err
	}
	for name, text := range s.archive.Texts {
		if err := writeFile(t, "/etc/apt/"+name, text); err != nil {
			return err
		}
	}
	return nil
}
