package debhelper

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"n3x/internal/debian/deb"
)

// Release is what a distribution's debhelper brings: the pieces of maintainer scripts, and which programs these
// are. [ReadRelease] reads it out of its packages.
type Release struct {
	Version  string            // as it stands in maintainer scripts, e.g. "13.24.2"
	Programs string            // stands for the bytes of all programs and modules; behaviours is by it
	Snippets map[string]string // by their names in autoscripts, e.g. "postinst-systemd-enable"
	Dpkg     string            // the version of dpkg that works beside it, e.g. "1.22.21"; the caller sets it
}

// behaviour is how one debhelper, with the dpkg of its distribution, differs from others that n3x knows.
type behaviour struct {
	dpkg              string    // how the version of dpkg begins
	unitDirs          []string  // where units are looked for; the first is where NAME.service goes
	cutoff            time.Time // older entries of changelogs are left out
	changelogSuffixes []string
	themes            bool // dh_fixperms looks at usr/share/themes
	priority          bool // dpkg-gencontrol writes a Priority when debian/control has none
}

func day(year int, month time.Month, d int) time.Time {
	return time.Date(year, month, d, 0, 0, 0, 0, time.UTC)
}

// behaviours are the debhelpers whose answers were recorded, by their programs. A rebuilt or renumbered package of the same
// programs is one of them; one whose programs differ is not, whatever its version.
var behaviours = map[string]*behaviour{
	// 13.11.4, bookworm
	"8a145afdaabed89d422ed78485cf9aa1a1548be7ba36a955469e4c2daa56aee3": {dpkg: "1.21.", unitDirs: []string{"lib/systemd/system"}, cutoff: day(2019, 7, 6), changelogSuffixes: []string{"", ".txt", ".md", ".rst"}},
	// 13.24.2, trixie
	"1aace2367b601841dd0613451edeb9ccff60943e76ca1274e231eb56a3185f08": {dpkg: "1.22.", unitDirs: []string{"usr/lib/systemd/system", "lib/systemd/system"}, cutoff: day(2019, 7, 6),
		changelogSuffixes: []string{"", ".txt", ".md", ".rst", ".org"}, themes: true, priority: true},
}

// behaviour is nil for a debhelper that n3x does not know.
func (r *Release) behaviour() *behaviour {
	b := behaviours[r.Programs]
	if b == nil || !strings.HasPrefix(r.Dpkg, b.dpkg) || strings.Contains(r.Dpkg, "ubuntu") {
		return nil
	}
	return b
}

const (
	snippetDir  = "usr/share/debhelper/autoscripts"
	programDir  = "usr/bin"
	moduleDir   = "usr/share/perl5/Debian/Debhelper"
	versionFile = moduleDir + "/Dh_Version.pm"
	maxSnippet  = 64 << 10
)

var versionLine = regexp.MustCompile(`\$version\s*=\s*'([0-9A-Za-z.+~:-]+)'`)

// Packages are the binary packages of the source package debhelper that hold it: programs, and modules with the snippets.
func Packages() []string { return []string{"debhelper", "libdebhelper-perl"} }

// ReadRelease reads the binary packages that [Packages] names. What is not like debhelper's packages is an error.
func ReadRelease(debs ...*deb.Deb) (*Release, error) {
	r := &Release{Snippets: map[string]string{}}
	var programs []string
	for _, d := range debs {
		lines, err := r.read(d)
		if err != nil {
			return nil, fmt.Errorf("read debhelper: %w", err)
		}
		programs = append(programs, lines...)
	}
	if r.Version == "" || len(programs) == 0 || len(r.Snippets) == 0 {
		return nil, fmt.Errorf("read debhelper: its packages have no programs, no %s or no %s", snippetDir, versionFile)
	}
	slices.Sort(programs)
	sum := sha256.Sum256([]byte(strings.Join(programs, "")))
	r.Programs = hex.EncodeToString(sum[:])
	return r, nil
}

// read takes what one package has and gives a line for each of its programs.
func (r *Release) read(d *deb.Deb) ([]string, error) {
	data, err := d.Data()
	if err != nil {
		return nil, err
	}
	defer data.Close()
	var programs []string
	for tr := tar.NewReader(data); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return programs, nil
		}
		if err != nil {
			return nil, err
		}
		line, err := r.add(h, tr)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", h.Name, err)
		}
		if line != "" {
			programs = append(programs, line)
		}
	}
}

// add reads one entry. For a program it gives a line with its name and sum.
func (r *Release) add(h *tar.Header, content io.Reader) (program string, err error) {
	name := path.Clean("/" + h.Name)[1:]
	dir := path.Dir(name)
	isProgram := dir == programDir || strings.HasPrefix(name, moduleDir+"/") && name != versionFile
	switch {
	case h.Typeflag == tar.TypeDir:
		return "", nil
	case isProgram && h.Typeflag != tar.TypeReg:
		return fmt.Sprintf("%s -> %s\n", name, h.Linkname), nil
	case isProgram:
		sum := sha256.New()
		_, err := io.Copy(sum, content)
		return fmt.Sprintf("%s %x\n", name, sum.Sum(nil)), err
	case dir != snippetDir && name != versionFile || h.Typeflag != tar.TypeReg:
		return "", nil
	case h.Size > maxSnippet:
		return "", fmt.Errorf("it has %d bytes, which no piece of a script has", h.Size)
	}
	text, err := io.ReadAll(io.LimitReader(content, maxSnippet))
	if err != nil {
		return "", err
	}
	if name == versionFile {
		if m := versionLine.FindSubmatch(text); m != nil {
			r.Version = string(m[1])
		}
		return "", nil
	}
	r.Snippets[path.Base(name)] = string(text)
	return "", nil
}

func (r *Release) snippet(name string) (string, error) {
	text, ok := r.Snippets[name]
	if !ok {
		return "", beyond("debhelper %s has no %s", r.Version, name)
	}
	return text, nil
}
