package isar

import (
	"slices"
	"strings"
)

// programs are those that tasks find beside shellTools as soon as they name them: a build that needs none of them
// does not load their packages, which stand behind the program's name.
var programs = map[string]string{
	"dpkg-architecture": "dpkg-dev", "dpkg-buildpackage": "dpkg-dev", "dpkg-genchanges": "dpkg-dev", "dpkg-gencontrol": "dpkg-dev",
	"dpkg-parsechangelog": "dpkg-dev", "dpkg-scanpackages": "dpkg-dev", "dpkg-scansources": "dpkg-dev", "dpkg-source": "dpkg-dev",
	"dch": "devscripts", "debchange": "devscripts", "dcmd": "devscripts", "dget": "devscripts", "uscan": "devscripts", "wrap-and-sort": "devscripts",
	"apt-ftparchive": "apt-utils", "reprepro": "reprepro",
	"git": "git", "gbp": "git-buildpackage pristine-tar", "pristine-tar": "pristine-tar", "quilt": "quilt",
	"perl": "perl", "python3": "python3", "make": "make", "gpg": "gpg", "gpgv": "gpgv",
	"curl": "curl", "wget": "wget", "rsync": "rsync", "jq": "jq", "bc": "bc",
	"zip": "zip", "unzip": "unzip", "7z": "p7zip-full", "lz4": "lz4", "lzop": "lzop", "brotli": "brotli", "pigz": "pigz",
	"xmlstarlet": "xmlstarlet", "xsltproc": "xsltproc", "yq": "yq", "xxd": "xxd",
	"dtc": "device-tree-compiler", "fdtput": "device-tree-compiler", "fdtget": "device-tree-compiler",
	"mkimage": "u-boot-tools", "mksquashfs": "squashfs-tools", "unsquashfs": "squashfs-tools",
	"fakeroot": "fakeroot", "dos2unix": "dos2unix", "m4": "m4",
	"uuidgen": "uuid-runtime", "certtool": "gnutls-bin", "sbsign": "sbsigntool", "cert-to-efi-sig-list": "efitools",
}

// programsIn lists the packages of the programs that a script names, sorted. A word that merely looks like a program's
// name brings in a package that is not used, which does no harm.
func programsIn(script string) []string {
	var out []string
	for line := range strings.SplitSeq(script, "\n") {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") {
			continue
		}
		for _, w := range strings.FieldsFunc(line, betweenWords) {
			w = strings.TrimPrefix(w, "/usr/bin/")
			for p := range strings.FieldsSeq(programs[w]) {
				if !slices.Contains(out, p) {
					out = append(out, p)
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

func betweenWords(r rune) bool { return strings.ContainsRune(" \t;|&()<>\"'`", r) }
