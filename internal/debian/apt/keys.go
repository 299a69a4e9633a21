package apt

import (
	"embed"
	"path"
	"strings"
)

// The public keys with which Debian signs its archives, from the package debian-archive-keyring 2025.1 (bullseye to
// trixie; forky and sid are signed with these too).
//
//go:embed keys/*.gpg
var debianKeys embed.FS

// DebianKeyring is a keyring of Debian's own by its well-known name, e.g. "debian-archive-keyring.gpg" or
// "/usr/share/keyrings/debian-archive-trixie-stable.gpg" (.pgp works too).
func DebianKeyring(name string) ([]byte, bool) {
	name = path.Base(name)
	name = strings.TrimSuffix(strings.TrimSuffix(name, ".pgp"), ".gpg")
	data, err := debianKeys.ReadFile("keys/" + name + ".gpg")
	return data, err == nil
}

// DebianKeyrings lists the names that [DebianKeyring] knows, sorted.
func DebianKeyrings() []string {
	entries, err := debianKeys.ReadDir("keys")
	if err != nil {
		panic("BUG: embedded keys are missing")
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names
}
