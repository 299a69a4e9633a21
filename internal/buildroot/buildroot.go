// Package buildroot builds Debian source packages as sbuild does: in a clean root file system that holds the base system
// of package builds, what the source's Build-Depends ask for, and nothing else.
//
// Input are a source package (a .dsc file with its archives), the layers of a base system, the packages on offer and those
// of this build; output are the .deb, .changes and .buildinfo files that the root's own dpkg-buildpackage makes. The root
// is a stack of cached layers (rootfs): base, Debian's build dependencies, packages of this build. Sources with equal build
// dependencies share them, and each build writes to an overlay that is thrown away.
//
// Build dependencies are chosen by debian/solve for a dummy package of the host architecture that depends on them, which is
// what sbuild has apt do: alternatives, versions, restrictions by architecture and profile, `:any` and `:native`, and for a
// foreign host architecture the cross compiler. Builds run as the user builder with fakeroot, at a path that depends on the
// source alone, and without network unless they are allowed to.
//
// Refused are sources for other architectures, build dependencies that cannot be met, and whatever dpkg-source refuses.
// Everything here runs inside [sandbox.Enter]. Formats: dsc(5), deb-src-control(5), dpkg-buildpackage(1), Debian Policy 7.7.
package buildroot

import (
	"context"
	"io"

	"n3x/internal/arch"
	"n3x/internal/debian"
	"n3x/internal/progress"
	"n3x/internal/rootfs"
)

// Options describe a build root before any build dependency is in it.
type Options struct {
	Base    rootfs.Stack // the base system: compiler, dpkg-dev, fakeroot ...
	BaseKey string       // stands for what is in Base

	Build   arch.Arch   // of the programs in the root (BUILD_ARCH)
	Host    arch.Arch   // that the packages are built for (PACKAGE_ARCH)
	Foreign []arch.Arch // all that the root takes packages of besides Build, in order of preference

	Offer    func(ctx context.Context) ([]*debian.Package, error) // packages of the archives; asked for only when something has to be chosen
	OfferKey string                                               // stands for them, e.g. the archives' digest
	Own      []rootfs.Deb                                         // packages of this build; they win over the archives'

	Fetch  func(ctx context.Context, packages []*debian.Package) ([]string, error) // gives the files of packages on offer
	Layers string                                                                  // folder of cached layers
	Log    io.Writer                                                               // may be nil
	Task   *progress.Task                                                          // may be nil
}

// Cross reports whether packages are built for another architecture than the root's own.
func (o Options) Cross() bool { return o.Build != o.Host }

// arches are the root's own architecture and the foreign ones, each once.
func (o Options) foreign() []arch.Arch {
	var out []arch.Arch
	seen := map[arch.Arch]bool{o.Build: true}
	for _, a := range append([]arch.Arch{o.Host}, o.Foreign...) {
		if !seen[a] {
			seen[a] = true
			out = append(out, a)
		}
	}
	return out
}
