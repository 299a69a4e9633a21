package matrix

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// attribute is how Nix knows a file: wic, vmlinuz, vmlinux, initrd, rootfs.
func attribute(kind string) string {
	switch kind {
	case ".tar.gz", ".tar.zst", ".tar.xz", ".tar":
		return "rootfs"
	case "-initrd.img":
		return "initrd"
	}
	return strings.ReplaceAll(strings.TrimLeft(kind, ".-"), ".", "-")
}

// Nix is the registry as an attribute set machine.role[.profile.node].{wic,vmlinuz,initrd,rootfs} of paths in the store. The
// files beside it are taken there when they are used, and have to have the hashes that they had when they were built.
// A profile stands for its first node there is.
func (r *Registry) Nix() []byte {
	tree := map[string]any{}
	for _, id := range r.IDs() {
		e := r.Variants[id]
		at := node(node(tree, e.Machine), e.Role)
		if e.Profile != "" {
			at = node(at, e.Profile)
			for _, f := range e.Files {
				if at[attribute(f.Kind)] == nil {
					at[attribute(f.Kind)] = f
				}
			}
			at = node(at, e.Node)
		}
		for _, f := range e.Files {
			at[attribute(f.Kind)] = f
		}
	}
	var b bytes.Buffer
	b.WriteString(`# Written by n3x matrix build. A flake or a nixosTest imports it: (import ./isar-artifacts.nix).MACHINE.ROLE.PROFILE.NODE.wic
let
  file = name: sha256: builtins.path {
    path = ./. + "/${name}";
    recursive = false;
    inherit name sha256;
  };
in
`)
	writeNix(&b, tree, "")
	b.WriteString("\n")
	return b.Bytes()
}

func node(in map[string]any, name string) map[string]any {
	m, ok := in[name].(map[string]any)
	if !ok {
		m = map[string]any{}
		in[name] = m
	}
	return m
}

func writeNix(b *bytes.Buffer, tree map[string]any, indent string) {
	b.WriteString("{\n")
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		fmt.Fprintf(b, "%s  %q = ", indent, name)
		switch v := tree[name].(type) {
		case map[string]any:
			writeNix(b, v, indent+"  ")
		case File:
			fmt.Fprintf(b, "file %q %q", v.Name, v.SRI())
		}
		b.WriteString(";\n")
	}
	b.WriteString(indent + "}")
}

// SRI is the file's hash as Nix and browsers write it: sha256-BASE64.
func (f File) SRI() string {
	sum, _ := hex.DecodeString(f.SHA256) // written by this package
	return "sha256-" + base64.StdEncoding.EncodeToString(sum)
}
