package buildroot

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/arch"
	"n3x/internal/debian"
	"n3x/internal/debian/deb"
	"n3x/internal/diag"
)

// Source is what builds need of a source package's control file (dsc(5)) or of debian/control (deb-src-control(5)).
type Source struct {
	Path    string // of the file that was read
	Name    string
	Version debian.Version // "" when read from debian/control
	Arches  []string       // of the packages, e.g. "any", "all", "linux-any"
	Files   []string       // beside Path, itself included; none when read from debian/control

	Depends, DependsArch, DependsIndep       string // Build-Depends and its kin, as written
	Conflicts, ConflictsArch, ConflictsIndep string
}

// maxControl bounds the size of a .dsc or control file.
const maxControl = 16 << 20

// ReadSource reads a .dsc file; a signature around it is not checked.
func ReadSource(path string) (*Source, error) {
	stanzas, err := readControl(path)
	if err != nil {
		return nil, err
	}
	s := newSource(path, stanzas[0])
	version, err := debian.ParseVersion(stanzas[0].Field("Version"))
	if err != nil {
		return nil, diag.Userf(stanzas[0].Pos("Version"), "field Version: %w", err)
	}
	s.Version = version
	s.Arches = strings.Fields(stanzas[0].Field("Architecture"))
	if !validName(s.Name) {
		return nil, diag.Userf(stanzas[0].Pos("Source"), "%q is not the name of a source package", s.Name)
	}
	s.Files = []string{filepath.Base(path)}
	for line := range strings.SplitSeq(stanzas[0].Field("Checksums-Sha256"), "\n") {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if name := words[len(words)-1]; len(words) == 3 && filepath.Base(name) == name && filepath.IsLocal(name) {
			s.Files = append(s.Files, name)
			continue
		}
		return nil, diag.Userf(stanzas[0].Pos("Checksums-Sha256"), "%q is not a checksum, a size and the name of a file", line)
	}
	return s, nil
}

// ReadControl reads the first paragraph, the source's, of debian/control.
func ReadControl(path string) (*Source, error) {
	stanzas, err := readControl(path)
	if err != nil {
		return nil, err
	}
	s := newSource(path, stanzas[0])
	for _, st := range stanzas[1:] {
		s.Arches = append(s.Arches, strings.Fields(st.Field("Architecture"))...)
	}
	return s, nil
}

func readControl(path string) ([]deb.Stanza, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxControl {
		return nil, diag.Userf(diag.Pos{File: path}, "the file has %d bytes; control files have at most %d", info.Size(), maxControl)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	stanzas, err := deb.ReadStanzas(path, bytes.NewReader(unsigned(data)))
	if err != nil {
		return nil, err
	}
	if len(stanzas) == 0 {
		return nil, diag.Userf(diag.Pos{File: path}, "the file is empty")
	}
	return stanzas, nil
}

// unsigned takes the text out of an OpenPGP cleartext signature, if there is one. Line numbers stay.
func unsigned(data []byte) []byte {
	if !bytes.HasPrefix(data, []byte("-----BEGIN PGP SIGNED MESSAGE-----")) {
		return data
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	inside := false
	for i, line := range lines {
		text := bytes.TrimSpace(line)
		switch {
		case !inside:
			inside = len(text) == 0
			lines[i] = []byte("\n")
		case bytes.HasPrefix(text, []byte("-----BEGIN PGP SIGNATURE-----")):
			return bytes.Join(lines[:i], nil)
		}
	}
	return bytes.Join(lines, nil)
}

func newSource(path string, st deb.Stanza) *Source {
	return &Source{Path: path, Name: st.Field("Source"),
		Depends: st.Field("Build-Depends"), DependsArch: st.Field("Build-Depends-Arch"), DependsIndep: st.Field("Build-Depends-Indep"),
		Conflicts: st.Field("Build-Conflicts"), ConflictsArch: st.Field("Build-Conflicts-Arch"), ConflictsIndep: st.Field("Build-Conflicts-Indep")}
}

func validName(name string) bool {
	return len(name) > 1 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789+-.") == "" && !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "-")
}

// Needs are build dependencies and conflicts with all restrictions applied, as binary packages have them.
type Needs struct{ Depends, Conflicts debian.Dependency }

// Conditions decide which build dependencies count.
type Conditions struct {
	Build, Host arch.Arch
	Profiles    []string
	Indep       bool // packages for all architectures are built too
}

// Needs reads the build dependencies that count, with those on what every build needs. Binary packages have no `:native`:
// it becomes the build architecture, or goes when that is the host's too.
func (s *Source) Needs(c Conditions) (Needs, error) {
	depends := []string{s.Depends, s.DependsArch, strings.Join(core(c), ", ")}
	conflicts := []string{s.Conflicts, s.ConflictsArch}
	if c.Indep {
		depends, conflicts = append(depends, s.DependsIndep), append(conflicts, s.ConflictsIndep)
	}
	var n Needs
	var err error
	if n.Depends, err = s.reduce(depends, c, false); err != nil {
		return n, err
	}
	n.Conflicts, err = s.reduce(conflicts, c, true)
	return n, err
}

// core is what sbuild adds to each build's dependencies.
func core(c Conditions) []string {
	list := []string{"build-essential:native", "fakeroot:native"}
	if c.Build != c.Host {
		list = append(list, "crossbuild-essential-"+string(c.Host)+":native", "libc-dev:"+string(c.Host), "libstdc++-dev:"+string(c.Host))
	}
	return list
}

func (s *Source) reduce(fields []string, c Conditions, each bool) (debian.Dependency, error) {
	var out debian.Dependency
	for _, field := range fields {
		list, err := debian.ParseDependency(field)
		if err != nil {
			return nil, diag.Userf(diag.Pos{File: s.Path}, "build dependencies of %s: %w", s.Name, err)
		}
		for _, alternatives := range list {
			var kept debian.Alternatives
			for _, r := range alternatives {
				if r.Applies(string(c.Host), c.Profiles) {
					kept = append(kept, plain(r, c))
				}
			}
			switch {
			case len(kept) == 0:
			case each: // conflicts have no alternatives
				for _, r := range kept {
					out = append(out, debian.Alternatives{r})
				}
			default:
				out = append(out, kept)
			}
		}
	}
	return out, nil
}

// plain is a build relation as binary packages write it.
func plain(r debian.Relation, c Conditions) debian.Relation {
	r.Arches, r.Profiles = nil, nil
	if r.ArchQual == "native" {
		r.ArchQual = ""
		if c.Build != c.Host {
			r.ArchQual = string(c.Build)
		}
	}
	return r
}

// Builds reports, as an error, that the source has no packages for the host architecture.
func (s *Source) Builds(c Conditions) error {
	all := slices.Contains(s.Arches, "all")
	if all && c.Indep || len(s.Arches) == 0 {
		return nil
	}
	for _, a := range s.Arches {
		if a != "all" && debian.MatchArch(a, string(c.Host)) {
			return nil
		}
	}
	err := diag.Userf(diag.Pos{File: s.Path}, "%s has packages for %s, but none for %s", s.Name, strings.Join(s.Arches, " "), c.Host)
	if all {
		return err.WithHint("packages for all architectures are not built for a foreign one: set DPKG_ARCH = \"all\" in the recipe, so that it is built for this machine")
	}
	return err.WithHint("correct Architecture in debian/control, or leave the recipe out for this machine")
}

// CheckFiles reports, as an error, the first of the source's files that is missing.
func (s *Source) CheckFiles() error {
	for _, name := range s.Files {
		if _, err := os.Stat(filepath.Join(filepath.Dir(s.Path), name)); errors.Is(err, os.ErrNotExist) {
			return diag.Userf(diag.Pos{File: s.Path}, "the source package's file %s is missing", name)
		} else if err != nil {
			return fmt.Errorf("source package %s: %w", s.Name, err)
		}
	}
	return nil
}
