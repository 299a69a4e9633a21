package matrix

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"n3x/internal/cluster"
)

// project is the definition of this repository with its profiles.
func project(t *testing.T) (*Definition, []*cluster.Profile) {
	t.Helper()
	data, err := os.ReadFile("../../backends/isar/matrix.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d, err := Read("matrix.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	profiles, err := cluster.ReadDir("../../profiles", func(s string) string { return s })
	if err != nil {
		t.Fatal(err)
	}
	return d, profiles
}

// The 16 variants of the system that n3x replaces without base-swupdate, and the first agent of each profile.
func TestTheProjectsVariants(t *testing.T) {
	t.Parallel()
	d, profiles := project(t)
	var want []string
	for _, p := range []string{"bonding-vlans", "dhcp-simple", "simple", "vlans"} {
		want = append(want, "qemuamd64.server."+p+".server-1", "qemuamd64.server."+p+".server-2", "qemuamd64.agent."+p+".agent-1")
	}
	want = append(want, "qemuamd64.base", "qemuamd64.agent", "qemuarm64.base", "qemuarm64.server", "jetson-orin-nano.base", "jetson-orin-nano.server", "amd-v3c18i.agent")
	var got, files []string
	for _, v := range d.Variants(profiles) {
		got = append(got, v.ID())
		for _, ext := range v.Files {
			files = append(files, v.File(ext))
		}
		if v.Joins != (v.Profile != "" && v.Node != "server-1") {
			t.Errorf("%s: joins a cluster: %v", v.ID(), v.Joins)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("variants:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	slices.Sort(files)
	if len(slices.Compact(files)) != 51 || !slices.Contains(files, "isar-qemuamd64-server-simple-server-1.wic") || !slices.Contains(files, "isar-qemuarm64-base-vmlinux") {
		t.Errorf("files: %v", files)
	}
	v, err := d.Find(d.Variants(profiles), "qemuamd64.server.simple.server-1")
	chain := "kas/base.yml:kas/machine/qemu-amd64.yml:kas/packages/k3s-core.yml:kas/packages/debug.yml:kas/image/k3s-server.yml:kas/boot/systemd-boot.yml:kas/network/simple.yml:kas/node/server-1.yml"
	if err != nil || v.Chain() != chain {
		t.Errorf("chain %s, %v", v.Chain(), err)
	}
	if stale := d.Stale(profiles); len(stale) > 0 {
		t.Errorf("left out, and in no profile: %v", stale)
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	d, profiles := project(t)
	all := d.Variants(profiles)
	for _, c := range []struct {
		f    Filter
		n    int
		want string
	}{
		{Filter{}, 19, ""},
		{Filter{Machine: "qemuamd64"}, 14, ""},
		{Filter{Machine: "qemuamd64", Role: "agent"}, 5, ""},
		{Filter{Profile: "vlans", Node: "server-2"}, 1, ""},
		{Filter{Role: "base-swupdate"}, 0, "base-swupdate is not built yet: it comes with updates over the air"},
		{Filter{Profile: "vlan"}, 0, `no profile "vlan"`},
		{Filter{Node: "agent-2"}, 0, `no node "agent-2"`},
		{Filter{Machine: "amd-v3c18i", Role: "base"}, 0, "no variant of the matrix has all"},
	} {
		got, err := d.Choose(all, c.f)
		if len(got) != c.n || err == nil && c.want != "" || err != nil && (c.want == "" || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %d variants, %v", c.f, len(got), err)
		}
	}
}

const small = `profiles: p
overlays: {base: [b.yml], profile: ["n/{profile}.yml"], node: ["k/{node}.yml"]}
roles:
  server: {overlays: [s.yml], packages: [core]}
machines:
  m: {overlays: [m.yml], images: [server], files: [.wic]}
packages:
  core: {overlay: core.yml, names: [curl]}
`

func TestClash(t *testing.T) {
	t.Parallel()
	d := &Definition{File: "m.yaml"}
	a, b := Variant{Machine: "a-b", Role: "c", Files: []string{".wic"}}, Variant{Machine: "a", Role: "b-c", Files: []string{".wic"}}
	if err := d.Clash([]Variant{a, b}); err == nil || !strings.Contains(err.Error(), "a-b.c and a.b-c both have a file isar-a-b-c.wic") {
		t.Error(err)
	}
	if err := d.Clash([]Variant{a}); err != nil {
		t.Error(err)
	}
}

// One change of the small definition makes one error, at its line.
func TestReadRefuses(t *testing.T) {
	t.Parallel()
	if _, err := Read("m.yaml", []byte(small)); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][3]string{
		{"profiles: p", "profiles: /p", "m.yaml:1:11: profiles is \"/p\", which is absolute"},
		{"profiles: p\n", "", "lacks \"profiles\""},
		{`"n/{profile}.yml"`, "n/simple.yml", "m.yaml:2:37: overlays.profile has \"n/simple.yml\" without {profile}"},
		{"[b.yml]", "[../b.yml]", "no path below this file's folder"},
		{"[b.yml]", "b.yml", "a list is expected"},
		{"[s.yml]", `["s:t.yml"]`, "a character that is not allowed"},
		{"packages: [core]", "packages: [cor]", "m.yaml:4:42: the matrix has no group of packages \"cor\""},
		{"images: [server]", "images: [serve]", "m.yaml:6:35: the matrix has no role \"serve\""},
		{"images: [server]", "images: [server, server]", "server is there twice"},
		{", images: [server]", "", "neither images nor nodes"},
		{"files: [.wic]", "files: []", "files is empty"},
		{"files: [.wic]", "files: [../x]", "no end of a file's name"},
		{"files: [.wic]", "files: [.tar, .tar.gz]", "two files that Nix would know as rootfs"},
		{"files: [.wic]", "file: [.wic]", "m.yaml:6:44: machines.m has no key \"file\""},
		{"  m: {", "  m.x: {", "\"m.x\" in machines is no name"},
		{"names: [curl]", "names: [1]", "a text is expected"},
		{"roles:", "roles: 1\nx:", "a mapping is expected"},
	} {
		_, err := Read("m.yaml", []byte(strings.Replace(small, c[0], c[1], 1)))
		if err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%q for %q: %v, want %s", c[1], c[0], err, c[2])
		}
	}
}

func TestCheckPackages(t *testing.T) {
	t.Parallel()
	d, err := Read("m.yaml", []byte(strings.Replace(small, "names: [curl]", "names: [curl, k3s, gone]", 1)))
	if err != nil {
		t.Fatal(err)
	}
	needs := d.Needs("server", "", nil)
	if len(needs) != 1 || d.Needs("", "", []string{"core.yml"})[0].Name != "core" || d.Needs("", "", nil) != nil {
		t.Fatalf("needs: %v", needs)
	}
	status := "Package: curl\nStatus: install ok installed\nDescription: x\n k3s\n\nPackage: k3s-system-config\nStatus: install ok installed\n\nPackage: gone\nStatus: deinstall ok config-files\n"
	err = Check("a.wic", "server", needs, []byte(status))
	text := ""
	if err != nil {
		text = err.Error()
	}
	for _, want := range []string{"a.wic: the image lacks the package k3s, which its role server needs", "the image lacks the package gone"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q does not say %q", text, want)
		}
	}
	if strings.Contains(text, "curl") {
		t.Errorf("curl is installed: %s", text)
	}
	if Check("a.wic", "", needs, nil) == nil {
		t.Error("an empty database has all packages")
	}
}

func registry(t *testing.T) (*Registry, string) {
	t.Helper()
	dir := t.TempDir()
	r, err := ReadRegistry(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range [][4]string{{"m", "server", "p", "server-1"}, {"m", "server", "p", "server-2"}, {"m", "base", "", ""}} {
		v := Variant{Machine: id[0], Role: id[1], Profile: id[2], Node: id[3]}
		e := &Entry{Machine: v.Machine, Role: v.Role, Profile: v.Profile, Node: v.Node}
		for _, ext := range []string{".wic", "-initrd.img"} {
			if err := os.WriteFile(filepath.Join(dir, v.File(ext)), []byte(v.ID()+ext), 0o644); err != nil {
				t.Fatal(err)
			}
			f, err := Describe(dir, ext, v.File(ext))
			if err != nil {
				t.Fatal(err)
			}
			e.Files = append(e.Files, f)
		}
		r.Variants[v.ID()] = e
	}
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	return r, dir
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	r, dir := registry(t)
	again, err := ReadRegistry(dir)
	if err != nil || string(again.JSON()) != string(r.JSON()) {
		t.Fatalf("read back: %v", err)
	}
	if err := r.Verify(dir, r.IDs(), true); err != nil {
		t.Fatal(err)
	}
	spoil := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	spoil("isar-m-base.wic", "m.base.wiX")
	spoil("isar-m-server-p-server-1.wic", "short")
	spoil("stray.wic", "")
	os.Remove(filepath.Join(dir, "isar-m-server-p-server-2-initrd.img"))
	spoil(NixFile, "")
	err = r.Verify(dir, r.IDs(), true)
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	for _, want := range []string{"isar-m-base.wic: the file of m.base has SHA-256", "server-1.wic: the file of m.server.p.server-1 has 5 bytes", "stray.wic: the file belongs to no variant",
		"server-2-initrd.img: the file of m.server.p.server-2 is missing", NixFile + ": the file does not say"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not say %q", err, want)
		}
	}
	if err := r.Verify(dir, []string{"m.server.p.server-1"}, false); strings.Contains(err.Error(), "stray") || strings.Contains(err.Error(), "m.base") {
		t.Errorf("of one variant: %v", err)
	}
}

func TestRegistryRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{":              "cannot be read",
		`{"version": 2}`: "version 2",
		`{"version": 1, "variants": {"a": null}}`:                                      "no entry at a",
		`{"version": 1, "variants": {"a": {"files": [{"name": "../../etc/passwd"}]}}}`: "lies elsewhere",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, RegistryFile), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadRegistry(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestNix(t *testing.T) {
	t.Parallel()
	r, dir := registry(t)
	text := string(r.Nix())
	for _, want := range []string{`"server-2" = {`, `"wic" = file "isar-m-server-p-server-2.wic" "sha256-`, `"initrd" = file "isar-m-base-initrd.img"`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s\nlacks %s", text, want)
		}
	}
	// SHA-256 of nothing, as Nix writes it.
	if sri := (File{SHA256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}).SRI(); sri != "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" {
		t.Error(sri)
	}
	if err := r.Remove(dir, "m.base"); err != nil || r.Variants["m.base"] != nil || len(r.Variants) != 2 {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "isar-m-base.wic")); err == nil {
		t.Error("the files of a removed variant stay")
	}
}
