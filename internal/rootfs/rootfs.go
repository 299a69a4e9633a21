// Package rootfs makes Debian root filesystems out of .deb files, with the real dpkg and the real maintainer scripts of
// the packages, without root, as stacks of overlay layers.
//
// Input are packages with the paths of their files (debian/apt, debian/solve) and the stack beneath; output is one layer:
// a directory with what dpkg and the scripts changed, in overlayfs's form (the upper directory of a mount with userxattr).
// With nothing beneath, the layer begins from nothing: the essential packages are unpacked by hand so that there is a dpkg
// to run, then dpkg installs them over it, as debootstrap and mmdebstrap do.
//
// Equal packages and options give equal layers, byte for byte, whatever the clock, the user, the host and the directory:
// what scripts leave of the moment is removed, times are set, and SOURCE_DATE_EPOCH is the time of the newest package.
//
// Everything here runs inside [sandbox.Enter]. Refused are packages of an architecture that neither this machine nor an
// emulator ([sandbox.Emulate], or the host's registration) runs, sets without dpkg, and Pre-Depends that lead in a circle.
//
// It mirrors what apt's package manager and mmdebstrap do with dpkg, and ISAR's rootfs.bbclass in what it leaves out.
package rootfs

import (
	"context"
	"io"
	"time"

	"n3x/internal/arch"
	"n3x/internal/debian"
	"n3x/internal/diag"
	"n3x/internal/progress"
)

// Deb is a package and its file.
type Deb struct {
	*debian.Package
	Path string // of the .deb, e.g. "/home/u/.cache/yocto/downloads/deb/bash_5.2.37-2_amd64.deb"
}

// Options says what [Install] installs, on what and where.
type Options struct {
	Dir   string // the layer to make; its parent must exist, itself must not
	Below Stack  // what the packages are installed on; empty makes a root filesystem from nothing

	Arch    arch.Arch
	Foreign []arch.Arch // further architectures, as dpkg --add-architecture adds them

	Install []Deb    // in any order; a package that Below has in another version is upgraded or downgraded
	Remove  []string // names, or name:arch, of packages of Below that go; their configuration files stay
	Auto    []string // name or name:arch of packages that apt may remove again (apt-mark auto)

	Preseed string   // answers for debconf, as debconf-set-selections(1) reads them
	Exclude []string // what packages ship and the root must not have: patterns of dpkg's path-exclude, e.g. "/usr/share/doc/*"; dpkg forgets it
	Include []string // exceptions from Exclude, e.g. "/usr/share/doc/*/copyright"
	Env     []string // further environment of dpkg and the scripts, "NAME=value"

	Epoch time.Time // of what scripts write, and their SOURCE_DATE_EPOCH; zero is the time of the newest package

	Twins Twins          // of programs, when Arch is not this machine's
	Cache string         // directory that keeps the packages uncompressed for the next time; "" keeps nothing
	Log   io.Writer      // receives what dpkg and the scripts print; nil discards
	Task  *progress.Task // nil is silent
}

// Layer is a finished layer.
type Layer struct {
	Dir   string
	Epoch time.Time // the newest time in it that is not a package's own
}

// Install makes the layer o.Dir. When it fails, there is no o.Dir.
func Install(ctx context.Context, o Options) (*Layer, error) {
	if err := o.validate(ctx); err != nil {
		return nil, err
	}
	have, err := installed(o.Below)
	if err != nil {
		return nil, err
	}
	steps, err := order(o, have)
	if err != nil {
		return nil, err
	}
	if err := o.digest(); err != nil {
		return nil, err
	}
	if o.Epoch.IsZero() {
		if o.Epoch, err = newest(o.Install); err != nil {
			return nil, err
		}
	}
	draft, err := NewDraft(o.Dir, o.Below)
	if err != nil {
		return nil, err
	}
	defer draft.Discard()
	i, err := newInstaller(o, draft, have)
	if err != nil {
		return nil, err
	}
	if err := i.install(ctx, steps); err != nil {
		return nil, explainSpace(err, o.Dir)
	}
	if err := draft.commit(o.Epoch, i.times); err != nil {
		return nil, explainSpace(err, o.Dir)
	}
	return &Layer{Dir: o.Dir, Epoch: o.Epoch}, nil
}

func (o Options) validate(ctx context.Context) error {
	if err := canRun(ctx, o.Arch, o.Dir); err != nil {
		return err
	}
	if _, err := filter(o.Exclude, o.Include); err != nil {
		return err
	}
	for _, d := range o.Install {
		if !o.takes(d.Architecture) {
			return diag.Userf(diag.Pos{}, "install %s: it is built for %s, the root filesystem is %s", d.ID(), d.Architecture, o.Arch).
				WithHint("choose its %s version, or add %s as a foreign architecture", o.Arch, d.Architecture)
		}
	}
	return nil
}

// takes reports whether packages of architecture a can be installed.
func (o Options) takes(a string) bool {
	if a == string(o.Arch) || a == "all" {
		return true
	}
	for _, f := range o.Foreign {
		if a == string(f) {
			return true
		}
	}
	return false
}
