package debhelper

import (
	"embed"
	"time"
)

// Release is a version of debhelper whose answers n3x knows.
type Release struct {
	Version string // as it stands in maintainer scripts, e.g. "13.24.2"

	unitDirs          []string  // where units are looked for; the first is where NAME.service goes
	cutoff            time.Time // older entries of changelogs are left out
	changelogSuffixes []string
	themes            bool // dh_fixperms looks at usr/share/themes
}

//go:embed autoscripts
var autoscripts embed.FS

func day(year int, month time.Month, d int) time.Time {
	return time.Date(year, month, d, 0, 0, 0, 0, time.UTC)
}

// releases are debhelper's versions by the distributions that have them.
var releases = map[string]*Release{
	"bookworm": {Version: "13.11.4", unitDirs: []string{"lib/systemd/system"}, cutoff: day(2019, 7, 6), changelogSuffixes: []string{"", ".txt", ".md", ".rst"}},
	"trixie": {Version: "13.24.2", unitDirs: []string{"usr/lib/systemd/system", "lib/systemd/system"}, cutoff: day(2019, 7, 6),
		changelogSuffixes: []string{"", ".txt", ".md", ".rst", ".org"}, themes: true},
}

// ReleaseOf is debhelper as a release of Debian has it, by its code name; nil for one that is not known.
func ReleaseOf(codename string) *Release { return releases[codename] }

func (r *Release) snippet(name string) (string, error) {
	text, err := autoscripts.ReadFile("autoscripts/" + r.Version + "/" + name)
	return string(text), err
}
