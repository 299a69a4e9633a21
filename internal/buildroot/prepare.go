package buildroot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"n3x/internal/atomicfile"
	"n3x/internal/debian"
	"n3x/internal/diag"
	"n3x/internal/rootfs"
)

// format is part of all keys; it changes when equal inputs give another root.
const format = "n3x build root 1"

// Root is a build root with a source's build dependencies.
type Root struct {
	Stack    rootfs.Stack
	Key      string            // stands for what is in it
	Packages []*debian.Package // of the archives that were added to the base
}

// answer is what choosing and installing came to, as it is kept beside the layers.
type answer struct {
	Layers   []string // names of layers on top of the base, lowest first
	Packages []*debian.Package
	Names    []string // that would change the answer if this build had a package of that name
}

// Prepare finds or makes the root for a source. name is the source's, for messages.
func Prepare(ctx context.Context, o Options, name string, needs Needs) (*Root, error) {
	if a, err := o.recall(o.question(needs, nil)); err != nil {
		return nil, err
	} else if a != nil && !touches(set(a.Names), o.Own) {
		return o.root(a), nil
	}
	if len(o.Own) > 0 {
		if a, err := o.recall(o.question(needs, o.Own)); err != nil || a != nil {
			return o.root(a), err
		}
	}
	lock, err := atomicfile.WaitLock(filepath.Join(o.Layers, "buildroot-"+o.question(needs, nil)+".lock"))
	if err != nil {
		return nil, err
	}
	defer lock.Unlock()
	return o.make(ctx, name, needs)
}

// make chooses and installs. Where the packages of this build make no difference, the answer is kept for builds without
// them too.
func (o Options) make(ctx context.Context, name string, needs Needs) (*Root, error) {
	plain := o.question(needs, nil)
	if a, err := o.recall(plain); err != nil || a != nil && !touches(set(a.Names), o.Own) {
		return o.root(a), err
	}
	installed, err := o.Base.Installed()
	if err != nil {
		return nil, err
	}
	o.Task.Step("choosing build dependencies")
	offer, err := o.Offer(ctx)
	if err != nil {
		return nil, err
	}
	c, unsolved := o.choose(offer, name, installed, needs, nil)
	if unsolved == nil {
		names := mentions(installed, needs, c)
		if !touches(names, o.Own) {
			return o.install(ctx, plain, c, sorted(names))
		}
	}
	if len(o.Own) == 0 {
		return nil, diag.Userf(diag.Pos{}, "build dependencies of %s cannot be met: %w", name, unsolved)
	}
	if c, err = o.choose(offer, name, installed, needs, o.Own); err != nil {
		return nil, diag.Userf(diag.Pos{}, "build dependencies of %s cannot be met: %w", name, err)
	}
	return o.install(ctx, o.question(needs, o.Own), c, nil)
}

// install makes the layers of a choice and remembers them.
func (o Options) install(ctx context.Context, question string, c *choice, names []string) (*Root, error) {
	a := &answer{Names: names}
	stack, below := slices.Clone(o.Base), o.BaseKey
	for i, debs := range [][]rootfs.Deb{c.debian, c.own} {
		if len(debs) == 0 && (i > 0 || len(c.remove) == 0) {
			continue
		}
		p := rootfs.Options{Below: stack, Arch: o.Build, Foreign: o.foreign(), Install: debs}
		if i == 0 {
			p.Remove = c.remove
		}
		key, err := o.layer(ctx, p, below)
		if err != nil {
			return nil, err
		}
		a.Layers, below = append(a.Layers, key), key
		stack = append(stack, filepath.Join(o.Layers, key))
	}
	for _, d := range c.debian {
		a.Packages = append(a.Packages, d.Package)
	}
	data, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	return o.root(a), atomicfile.Write(o.answerFile(question), data, 0o644)
}

// layer finds or makes one layer and gives its key.
func (o Options) layer(ctx context.Context, p rootfs.Options, below string) (string, error) {
	key, err := rootfs.Key(p, format+" "+below)
	if err != nil {
		return "", err
	}
	key = key[:32]
	p.Dir = filepath.Join(o.Layers, key)
	lock, err := atomicfile.WaitLock(p.Dir + ".lock")
	if err != nil {
		return "", err
	}
	defer lock.Unlock()
	if _, err := os.Stat(p.Dir); err == nil {
		return key, nil
	}
	if err := o.fetch(ctx, p.Install); err != nil {
		return "", err
	}
	o.Task.Step(fmt.Sprintf("installing %d build dependencies", len(p.Install)))
	p.Log, p.Task = o.Log, o.Task
	_, err = rootfs.Install(ctx, p)
	return key, err
}

func (o Options) fetch(ctx context.Context, debs []rootfs.Deb) error {
	var wanted []*debian.Package
	var at []int
	for i, d := range debs {
		if d.Path == "" {
			wanted, at = append(wanted, d.Package), append(at, i)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	o.Task.Step(fmt.Sprintf("fetching %d build dependencies", len(wanted)))
	paths, err := o.Fetch(ctx, wanted)
	if err != nil {
		return err
	}
	for i, path := range paths {
		debs[at[i]].Path = path
	}
	return nil
}

// root is the answer as a root; nil is nil.
func (o Options) root(a *answer) *Root {
	if a == nil {
		return nil
	}
	r := &Root{Stack: slices.Clone(o.Base), Key: o.BaseKey, Packages: a.Packages}
	for _, key := range a.Layers {
		r.Stack, r.Key = append(r.Stack, filepath.Join(o.Layers, key)), key
	}
	return r
}

// question identifies what is asked for.
func (o Options) question(needs Needs, own []rootfs.Deb) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%s\n%s %s %v\n%s\n%s\n", format, o.OfferKey, o.BaseKey, o.Build, o.Host, o.foreign(), needs.Depends, needs.Conflicts)
	for _, d := range own {
		fmt.Fprintf(h, "%s %s\n", d.ID(), d.SHA256)
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}

func (o Options) answerFile(question string) string {
	return filepath.Join(o.Layers, "buildroot-"+question+".json")
}

// recall is the answer to a question when it is known and all its layers are there; else nil.
func (o Options) recall(question string) (*answer, error) {
	data, err := os.ReadFile(o.answerFile(question))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	a := new(answer)
	if err := json.Unmarshal(data, a); err != nil {
		return nil, nil // it is written anew
	}
	for _, key := range a.Layers {
		if _, err := os.Stat(filepath.Join(o.Layers, filepath.Base(key))); err != nil {
			return nil, nil
		}
	}
	return a, nil
}

func set(names []string) map[string]bool {
	out := make(map[string]bool, len(names))
	for _, n := range names {
		out[n] = true
	}
	return out
}

func sorted(names map[string]bool) []string {
	out := make([]string, 0, len(names))
	for n := range names {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}
