// Package debian is the vocabulary of Debian's package world: versions, relations between packages, and
// packages as an index or a control file describes them (Debian Policy, chapters 5 and 7).
//
// The rooms below it read files (debian/deb), talk to archives (debian/apt) and choose packages (debian/solve).
package debian

// Index is one Packages file of one repository: where a package version comes from, and how much it is wanted.
type Index struct {
	URI       string // base of the repository as configured (after no rewriting), e.g. "http://deb.debian.org/debian"
	Suite     string // as configured on the deb line, e.g. "trixie-security"
	Component string // e.g. "main"; "" for a flat repository
	Arch      string // e.g. "amd64"

	// From the Release file; they are what pins match (apt_preferences(5)).
	Origin, Label, Codename, Archive, ReleaseVersion string
	NotAutomatic, ButAutomaticUpgrades               bool

	Trusted bool   // local and unsigned by intent, e.g. isar-apt
	SHA256  string // of the uncompressed Packages file, hex
}

// Package is one version of one binary package.
type Package struct {
	Name          string
	Version       Version
	Architecture  string // "amd64", "all", ...
	MultiArch     string // "", "same", "foreign" or "allowed"
	Source        string // source package name (Name when the control file has no Source)
	SourceVersion Version

	Essential bool
	Protected bool // Protected: yes, or Important: yes
	Priority  string
	Section   string

	PreDepends, Depends, Recommends, Suggests Dependency
	Conflicts, Breaks, Replaces, Provides     Dependency // Provides uses Op "=" or none
	Enhances                                  Dependency

	InstalledSize int64  // KiB, as the control field says
	Filename      string // below Index.URI, e.g. "pool/main/h/hello/hello_2.10-3_amd64.deb"; a path for local files
	Size          int64  // bytes of the .deb
	SHA256        string // hex, of the .deb

	Index *Index // nil for a package that is not from an index (dpkg status)
	Pin   int    // priority by apt_preferences(5); set by debian/apt, 500 by default
}

// Relation is one package name with its restrictions, e.g. `libc6 (>= 2.38) [amd64] <!nocheck>`.
type Relation struct {
	Name     string
	ArchQual string     // what follows the colon: "any", "native" or an architecture; "" when there is none
	Op       string     // "<<", "<=", "=", ">=", ">>"; "" when any version will do
	Version  Version    // "" when Op is ""
	Arches   []string   // of [..], with "!" kept, e.g. "!i386"; build relations only
	Profiles [][]string // of <..> <..>; build relations only
}

// Alternatives are relations joined by "|": one of them satisfies it.
type Alternatives []Relation

// Dependency is a whole field: all its members must hold.
type Dependency []Alternatives
