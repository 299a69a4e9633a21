package matrix

import (
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"n3x/internal/diag"
	"n3x/internal/yaml"
)

// name is what identifiers and file names are made of.
var name = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`)

// reader collects what is wrong with a definition.
type reader struct{ diag.List }

// Read reads and checks a definition. file is its name in messages. All errors are told, in the file's order.
func Read(file string, data []byte) (*Definition, error) {
	r := &reader{}
	root, err := yaml.Parse(file, data, func(pos diag.Pos, message string) { r.Userf(pos, "%s", message) })
	if err != nil {
		return nil, err
	}
	d := &Definition{File: file, Planned: map[string]string{}}
	m := r.keys(root, "the matrix", []string{"profiles", "overlays", "roles", "machines"}, "without", "planned", "packages")
	if m == nil {
		return nil, r.Err()
	}
	if n := m.Lookup("profiles"); n != nil {
		d.Profiles = r.text(n, "profiles")
		if filepath.IsAbs(d.Profiles) {
			r.Userf(n.Pos, "profiles is %q, which is absolute", d.Profiles).WithHint("write the folder relative to this file")
		}
	}
	o := r.keys(m.Lookup("overlays"), "overlays", []string{"base", "profile", "node"})
	d.Base = r.overlays(o.Lookup("base"), "overlays.base", "")
	d.Profile = r.overlays(o.Lookup("profile"), "overlays.profile", "{profile}")
	d.Node = r.overlays(o.Lookup("node"), "overlays.node", "{node}")
	r.groups(d, m.Lookup("packages"))
	r.roles(d, m.Lookup("roles"))
	r.machines(d, m.Lookup("machines"))
	d.Without = r.texts(m.Lookup("without"), "without")
	for _, e := range r.named(m.Lookup("planned"), "planned") {
		d.Planned[e.Key] = r.text(e.Node, "planned."+e.Key)
		if d.role(e.Key).Name != "" {
			r.Userf(e.KeyPos, "role %s is planned, and defined", e.Key)
		}
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	return d, nil
}

// keys checks that a node is a mapping that has the required keys and no others but those allowed.
func (r *reader) keys(n *yaml.Node, where string, required []string, allowed ...string) *yaml.Map {
	if n == nil {
		return nil // told as a missing key
	}
	m := n.Map()
	all := slices.Concat(required, allowed)
	if m == nil {
		r.Userf(n.Pos, "%s is %s, but a mapping is expected", where, show(n)).WithHint("its keys: %s", strings.Join(all, ", "))
		return nil
	}
	for _, e := range m.Entries() {
		if !slices.Contains(all, e.Key) {
			r.Add(diag.Unknown(e.KeyPos, where, "key", e.Key, all))
		}
	}
	for _, key := range required {
		if m.Lookup(key) == nil {
			r.Userf(n.Pos, "%s lacks %q", where, key)
		}
	}
	return m
}

// named are the entries of a mapping whose keys the file chooses.
func (r *reader) named(n *yaml.Node, where string) []yaml.Entry {
	if n == nil {
		return nil
	}
	if n.Map() == nil {
		r.Userf(n.Pos, "%s is %s, but a mapping is expected", where, show(n))
	}
	for _, e := range n.Map().Entries() {
		if !name.MatchString(e.Key) {
			r.Userf(e.KeyPos, "%q in %s is no name", e.Key, where).WithHint("allowed: a letter, then letters, digits and hyphens")
		}
	}
	return n.Map().Entries()
}

func (r *reader) text(n *yaml.Node, where string) string {
	s, ok := n.Text()
	if !ok || s == "" {
		r.Userf(n.Pos, "%s is %s, but a text is expected", where, show(n))
	}
	return s
}

func (r *reader) texts(n *yaml.Node, where string) []string {
	if n == nil {
		return nil
	}
	list, ok := n.Value.([]*yaml.Node)
	if !ok {
		r.Userf(n.Pos, "%s is %s, but a list is expected", where, show(n)).WithHint("write [a, b]")
	}
	out := []string{}
	for _, item := range list {
		out = append(out, r.text(item, "an item of "+where))
	}
	return out
}

// overlays are kas files below the definition's folder; each must have the placeholder, and no other one.
func (r *reader) overlays(n *yaml.Node, where, placeholder string) []string {
	out := r.texts(n, where)
	for i, o := range out {
		rest := o
		if placeholder != "" {
			rest = strings.ReplaceAll(o, placeholder, "x")
			if rest == o {
				r.Userf(n.List()[i].Pos, "%s has %q without %s", where, o, placeholder)
			}
		}
		if strings.ContainsAny(rest, "{}:") {
			r.Userf(n.List()[i].Pos, "%s has %q, with a character that is not allowed there", where, o)
		}
		if !filepath.IsLocal(o) || path.Clean(o) != o {
			r.Userf(n.List()[i].Pos, "%s has %q, which is no path below this file's folder", where, o)
		}
	}
	return out
}

func (r *reader) groups(d *Definition, n *yaml.Node) {
	for _, e := range r.named(n, "packages") {
		where := "packages." + e.Key
		m := r.keys(e.Node, where, []string{"overlay", "names"})
		g := Group{Name: e.Key, Names: r.texts(m.Lookup("names"), where+".names")}
		if o := m.Lookup("overlay"); o != nil {
			g.Overlay = r.text(o, where+".overlay")
		}
		d.Groups = append(d.Groups, g)
	}
}

func (r *reader) roles(d *Definition, n *yaml.Node) {
	var groups []string
	for _, g := range d.Groups {
		groups = append(groups, g.Name)
	}
	for _, e := range r.named(n, "roles") {
		where := "roles." + e.Key
		m := r.keys(e.Node, where, []string{"overlays"}, "packages")
		role := Role{Name: e.Key, Overlays: r.overlays(m.Lookup("overlays"), where+".overlays", ""), Packages: r.texts(m.Lookup("packages"), where+".packages")}
		r.known(m.Lookup("packages"), "the matrix", "group of packages", groups)
		d.Roles = append(d.Roles, role)
	}
}

func (r *reader) machines(d *Definition, n *yaml.Node) {
	var roles []string
	for _, role := range d.Roles {
		roles = append(roles, role.Name)
	}
	for _, e := range r.named(n, "machines") {
		where := "machines." + e.Key
		m := r.keys(e.Node, where, []string{"overlays", "files"}, "images", "nodes", "skip")
		machine := Machine{Name: e.Key, Overlays: r.overlays(m.Lookup("overlays"), where+".overlays", ""), Files: r.texts(m.Lookup("files"), where+".files"),
			Images: r.texts(m.Lookup("images"), where+".images"), Nodes: r.texts(m.Lookup("nodes"), where+".nodes"), Skip: r.texts(m.Lookup("skip"), where+".skip")}
		for _, key := range []string{"images", "nodes"} {
			r.known(m.Lookup(key), "the matrix", "role", roles)
		}
		r.fileEnds(m.Lookup("files"), where)
		if len(machine.Images)+len(machine.Nodes) == 0 {
			r.Userf(e.KeyPos, "%s has neither images nor nodes, so nothing is built for it", where)
		}
		d.Machines = append(d.Machines, machine)
	}
	if d.Machines == nil && n != nil {
		r.Userf(n.Pos, "machines is empty, so the matrix has no variant")
	}
}

// known refuses words of a list that are none of names, and words that are there twice.
func (r *reader) known(n *yaml.Node, what, kind string, names []string) {
	seen := map[string]bool{}
	for _, item := range n.List() {
		s, _ := item.Text()
		if !slices.Contains(names, s) {
			r.Add(diag.Unknown(item.Pos, what, kind, s, names))
		}
		if seen[s] {
			r.Userf(item.Pos, "%s is there twice", s)
		}
		seen[s] = true
	}
}

func (r *reader) fileEnds(n *yaml.Node, where string) {
	seen := map[string]bool{}
	for _, item := range n.List() {
		s, _ := item.Text()
		if !regexp.MustCompile(`^[.-][A-Za-z0-9.-]+$`).MatchString(s) {
			r.Userf(item.Pos, "%s.files has %q, which is no end of a file's name", where, s).WithHint("e.g. .wic or -vmlinuz")
		}
		if seen[attribute(s)] {
			r.Userf(item.Pos, "%s.files has two files that Nix would know as %s", where, attribute(s))
		}
		seen[attribute(s)] = true
	}
	if n != nil && len(n.List()) == 0 {
		r.Userf(n.Pos, "%s.files is empty", where)
	}
}

func show(n *yaml.Node) string {
	switch s, ok := n.Text(); {
	case n.Value == nil:
		return "empty"
	case ok:
		return `"` + s + `"`
	}
	return yaml.KindOf(n)
}
