// Package matrix says which images a project has: each machine in each role, and for each network profile its nodes. It
// reads the definition (matrix.yaml, checked as a whole with file and line), expands it with the profiles into variants,
// and keeps the registry of what was built: files by size and SHA-256 with the inputs that they were made of, as JSON and
// for Nix. It also tells which packages an image lacks that its role needs.
//
// It mirrors what isar-build-all, artifact-hashes.nix, isar-artifacts.nix and verify-kas-packages did in the system that
// n3x replaces, except that identifiers name the machine, entries are written by the tool, and packages are
// those of the image itself.
//
// It builds nothing: variants are chains of kas files.
package matrix

import (
	"slices"
	"strings"

	"n3x/internal/cluster"
	"n3x/internal/diag"
)

// Definition is a matrix.yaml.
type Definition struct {
	File     string // as it is shown in messages
	Profiles string // folder of the profiles, relative to the file's
	Base     []string
	Profile  []string // overlays that choose a profile: {profile} stands for its name
	Node     []string // overlays that choose a node: {node} stands for its name

	Roles    []Role
	Machines []Machine
	Groups   []Group
	Without  []string          // PROFILE.NODE
	Planned  map[string]string // role to what it waits for
}

// Role is what an image is in the cluster.
type Role struct {
	Name     string
	Overlays []string
	Packages []string // names of groups
}

// Machine is a board with the way it boots.
type Machine struct {
	Name     string
	Overlays []string
	Images   []string // roles that are built without a profile
	Nodes    []string // roles whose nodes are built for each profile
	Files    []string // ends of the names of deployed files, e.g. ".wic", "-vmlinuz"
	Skip     []string // of IMAGE_FSTYPES
}

// Group is packages that belong together, and the overlay that brings them.
type Group struct {
	Name    string
	Overlay string
	Names   []string
}

// Variant is one image of the matrix.
type Variant struct {
	Machine, Role string
	Profile, Node string // "" without a profile
	Joins         bool   // the node joins a cluster that another one makes, which takes a token
	Overlays      []string
	Files         []string // as in [Machine]
	Skip          []string
	ProfileFile   string // as it is shown in messages; "" without a profile
}

// ID is MACHINE.ROLE or MACHINE.ROLE.PROFILE.NODE.
func (v Variant) ID() string {
	id := v.Machine + "." + v.Role
	if v.Profile != "" {
		id += "." + v.Profile + "." + v.Node
	}
	return id
}

// File is the name of the variant's file whose deployed name ends in ext.
func (v Variant) File(ext string) string { return "isar-" + strings.ReplaceAll(v.ID(), ".", "-") + ext }

// Chain are the overlays as kas takes them: joined by colons.
func (v Variant) Chain() string { return strings.Join(v.Overlays, ":") }

// Variants are all images of the matrix: by machine in the file's order, those without a profile first. Profiles that are
// made to fail have none.
func (d *Definition) Variants(profiles []*cluster.Profile) []Variant {
	var out []Variant
	for _, m := range d.Machines {
		for _, role := range m.Images {
			out = append(out, d.variant(m, role, nil, nil))
		}
		for _, role := range m.Nodes {
			for _, p := range profiles {
				if p.Negative {
					continue
				}
				for _, n := range p.Nodes {
					if string(n.Role) == role && !slices.Contains(d.Without, p.Name+"."+n.Name) {
						out = append(out, d.variant(m, role, p, n))
					}
				}
			}
		}
	}
	return out
}

func (d *Definition) variant(m Machine, role string, p *cluster.Profile, n *cluster.Node) Variant {
	v := Variant{Machine: m.Name, Role: role, Files: m.Files, Skip: m.Skip}
	v.Overlays = slices.Concat(d.Base, m.Overlays, d.role(role).Overlays)
	if p == nil {
		return v
	}
	v.Profile, v.Node, v.ProfileFile = p.Name, n.Name, p.File
	v.Joins = p.First(cluster.Server) != n
	for _, o := range d.Profile {
		v.Overlays = append(v.Overlays, strings.ReplaceAll(o, "{profile}", p.Name))
	}
	for _, o := range d.Node {
		v.Overlays = append(v.Overlays, strings.ReplaceAll(o, "{node}", n.Name))
	}
	return v
}

func (d *Definition) role(name string) Role {
	i := slices.IndexFunc(d.Roles, func(r Role) bool { return r.Name == name })
	if i < 0 {
		return Role{}
	}
	return d.Roles[i]
}

// Filter chooses variants; what is "" chooses all.
type Filter struct{ Machine, Role, Profile, Node string }

// All reports whether the filter chooses everything.
func (f Filter) All() bool { return f == Filter{} }

// Choose are the variants that f asks for. A word that no variant has is an error that names those there are; a role
// that is only planned is told as such.
func (d *Definition) Choose(all []Variant, f Filter) ([]Variant, error) {
	for _, word := range []struct {
		flag, value string
		of          func(Variant) string
	}{
		{"machine", f.Machine, func(v Variant) string { return v.Machine }},
		{"role", f.Role, func(v Variant) string { return v.Role }},
		{"profile", f.Profile, func(v Variant) string { return v.Profile }},
		{"node", f.Node, func(v Variant) string { return v.Node }},
	} {
		if word.value == "" {
			continue
		}
		if why := d.Planned[word.value]; why != "" && word.flag == "role" {
			return nil, diag.Userf(diag.Pos{File: d.File}, "%s is not built yet: %s", word.value, why)
		}
		var names []string
		for _, v := range all {
			if name := word.of(v); name != "" {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		if names = slices.Compact(names); !slices.Contains(names, word.value) {
			return nil, diag.Unknown(diag.Pos{File: d.File}, "the matrix", word.flag, word.value, names)
		}
	}
	out := slices.DeleteFunc(slices.Clone(all), func(v Variant) bool {
		return !fits(f.Machine, v.Machine) || !fits(f.Role, v.Role) || !fits(f.Profile, v.Profile) || !fits(f.Node, v.Node)
	})
	if len(out) == 0 {
		return nil, diag.Userf(diag.Pos{File: d.File}, "no variant of the matrix has all of what is asked for").WithHint("n3x matrix list")
	}
	return out, nil
}

func fits(asked, has string) bool { return asked == "" || asked == has }

// Find finds a variant by its identifier.
func (d *Definition) Find(all []Variant, id string) (Variant, error) {
	var names []string
	for _, v := range all {
		if v.ID() == id {
			return v, nil
		}
		names = append(names, v.ID())
	}
	for role, why := range d.Planned {
		if slices.Contains(strings.Split(id, "."), role) {
			return Variant{}, diag.Userf(diag.Pos{File: d.File}, "%s is not built yet: %s", role, why)
		}
	}
	return Variant{}, diag.Unknown(diag.Pos{File: d.File}, "the matrix", "variant", id, names)
}

// Clash is an error when two variants have a file of one name, since hyphens of names look like those between them.
func (d *Definition) Clash(all []Variant) error {
	by := map[string]string{}
	for _, v := range all {
		for _, ext := range v.Files {
			file := v.File(ext)
			if other := by[file]; other != "" {
				return diag.Userf(diag.Pos{File: d.File}, "%s and %s both have a file %s", other, v.ID(), file).WithHint("name a machine, role, profile or node otherwise")
			}
			by[file] = v.ID()
		}
	}
	return nil
}

// Stale are the words of without that name no node, which hide nothing.
func (d *Definition) Stale(profiles []*cluster.Profile) []string {
	return slices.DeleteFunc(slices.Clone(d.Without), func(word string) bool {
		return slices.ContainsFunc(profiles, func(p *cluster.Profile) bool {
			return slices.ContainsFunc(p.Nodes, func(n *cluster.Node) bool { return p.Name+"."+n.Name == word })
		})
	})
}
