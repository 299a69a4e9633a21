package deb

import (
	"strconv"
	"strings"

	"n3x/internal/debian"
	"n3x/internal/diag"
)

// Parser turns stanzas into packages. It remembers the relations it has seen, which makes a whole index several times
// faster than one stanza at a time: packages of one index then share the Relation slices of equal alternatives.
type Parser struct {
	seen map[string]debian.Alternatives
}

// ParsePackage reads one binary package from a control file or from a stanza of an index or of dpkg's status file.
func ParsePackage(s Stanza) (*debian.Package, error) { return new(Parser).Package(s) }

// Package is [ParsePackage] with memory.
func (p *Parser) Package(s Stanza) (*debian.Package, error) {
	pkg := new(debian.Package)
	var source string
	for _, f := range s.Fields {
		if strings.EqualFold(f.Name, "Source") {
			source = f.Value
			continue
		}
		if err := p.field(pkg, f); err != nil {
			return nil, diag.Userf(diag.Pos{File: s.File, Line: f.Line}, "package %q: field %s: %w", s.Field("Package"), f.Name, err)
		}
	}
	for _, need := range [...]struct{ name, value string }{
		{"Package", pkg.Name}, {"Version", string(pkg.Version)}, {"Architecture", pkg.Architecture},
	} {
		if need.value == "" {
			return nil, diag.Userf(s.Pos(""), "package %q has no %s field", pkg.Name, need.name)
		}
	}
	pkg.Source, pkg.SourceVersion = pkg.Name, pkg.Version
	if source != "" { // "name" or "name (version)"
		name, version, versioned := strings.Cut(source, "(")
		pkg.Source = strings.TrimSpace(name)
		if versioned {
			v, err := debian.ParseVersion(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(version), ")")))
			if err != nil {
				return nil, diag.Userf(s.Pos("Source"), "package %q: field Source: %w", pkg.Name, err)
			}
			pkg.SourceVersion = v
		}
	}
	return pkg, nil
}

func (p *Parser) field(pkg *debian.Package, f Field) (err error) {
	switch name := f.Name; {
	case is(name, "Package"):
		pkg.Name = f.Value
	case is(name, "Version"):
		pkg.Version, err = debian.ParseVersion(f.Value)
	case is(name, "Architecture"):
		pkg.Architecture = f.Value
	case is(name, "Multi-Arch"):
		pkg.MultiArch = f.Value
		if pkg.MultiArch == "no" {
			pkg.MultiArch = ""
		}
	case is(name, "Essential"):
		pkg.Essential = yes(f.Value)
	case is(name, "Protected"), is(name, "Important"):
		pkg.Protected = pkg.Protected || yes(f.Value)
	case is(name, "Priority"):
		pkg.Priority = f.Value
	case is(name, "Section"):
		pkg.Section = f.Value
	case is(name, "Filename"):
		pkg.Filename = f.Value
	case is(name, "SHA256"):
		pkg.SHA256 = strings.ToLower(f.Value)
	case is(name, "Size"):
		pkg.Size, err = strconv.ParseInt(f.Value, 10, 64)
	case is(name, "Installed-Size"):
		// Informative only, and some foreign archives hold nonsense there.
		pkg.InstalledSize, _ = strconv.ParseInt(f.Value, 10, 64)
	default:
		if d := relationField(pkg, name); d != nil {
			*d, err = p.dependency(f.Value)
		}
	}
	return err
}

func relationField(pkg *debian.Package, name string) *debian.Dependency {
	switch {
	case is(name, "Depends"):
		return &pkg.Depends
	case is(name, "Pre-Depends"):
		return &pkg.PreDepends
	case is(name, "Recommends"):
		return &pkg.Recommends
	case is(name, "Suggests"):
		return &pkg.Suggests
	case is(name, "Conflicts"):
		return &pkg.Conflicts
	case is(name, "Breaks"):
		return &pkg.Breaks
	case is(name, "Replaces"):
		return &pkg.Replaces
	case is(name, "Provides"):
		return &pkg.Provides
	case is(name, "Enhances"):
		return &pkg.Enhances
	}
	return nil
}

func (p *Parser) dependency(field string) (debian.Dependency, error) {
	if field == "" {
		return nil, nil
	}
	d := make(debian.Dependency, 0, strings.Count(field, ",")+1)
	for text := range strings.SplitSeq(field, ",") {
		text = strings.TrimSpace(text)
		if text == "" { // a trailing comma is common and harmless
			continue
		}
		alts, ok := p.seen[text]
		if !ok {
			text = strings.Clone(text) // or it would keep its whole stanza in memory
			one, err := debian.ParseDependency(text)
			if err != nil {
				return nil, err
			}
			if len(one) != 1 {
				continue
			}
			alts = one[0]
			if p.seen == nil {
				p.seen = make(map[string]debian.Alternatives)
			}
			p.seen[text] = alts
		}
		d = append(d, alts)
	}
	return d, nil
}

func is(name, want string) bool {
	return len(name) == len(want) && (name == want || strings.EqualFold(name, want))
}

func yes(s string) bool { return strings.EqualFold(s, "yes") }
