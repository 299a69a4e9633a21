// Package apt talks to Debian archives as apt does, without apt: it refreshes and verifies package indices,
// pins every package by apt_preferences(5), and downloads packages.
//
// Input are sources.list(5) entries, preferences and OpenPGP keyrings; output are a [State] (all packages on offer)
// and .deb files below the download folder. Everything is verified against a signed Release file down to each
// package's SHA-256, unless a source is trusted by name.
//
// It refuses: unsigned or expired Release files, weak hashes (MD5, SHA-1), transports other than http, https, file
// and copy. It never falls back to something less verified than what was asked for.
package apt

import (
	"regexp"
	"sync"
	"time"

	"n3x/internal/arch"
	"n3x/internal/debian"
)

// Options says which archives a Client talks to, and how. Sources, Arches and DownloadDir are required.
type Options struct {
	Sources     []Source
	Preferences []Preference // in the order of preferences.d
	Arches      []arch.Arch  // native architecture first

	Keyrings [][]byte                          // OpenPGP public keys, binary or armored; for sources without signed-by
	KeyFile  func(path string) ([]byte, error) // reads a keyring that signed-by names; what it does not find is looked for among Debian's own, see DebianKeyring

	DownloadDir string // DL_DIR
	Pool        string // folder below DL_DIR/deb, e.g. "debian-trixie"; "" = "debian"

	Rewrites []Rewrite // first match wins
	Offline  bool      // use what is in DownloadDir, never the network

	Proxies     map[string]string // "http_proxy", "https_proxy", "all_proxy", "no_proxy", as in the environment
	Credentials map[string]Login  // by host, or host:port

	Parallel     int           // connections; 0 = 8
	Retries      int           // further attempts after a failure that may pass; 0 = 3, negative = none
	RetryDelay   time.Duration // before the first retry, then doubled; 0 = 1 s
	MaxDelay     time.Duration // limit of the doubling; 0 = 30 s
	StallTimeout time.Duration // without any byte; 0 = 30 s
	RateLimit    int64         // bytes per second over all connections; 0 = none

	Now func() time.Time // nil = time.Now
}

// Rewrite replaces part of a repository's URI (DISTRO_APT_PREMIRRORS, snapshot tables).
type Rewrite struct {
	Match    *regexp.Regexp
	Replace  string // as in regexp.Expand, e.g. "https://snapshot.debian.org/archive/${1}/20250101T000000Z"
	Snapshot bool   // the result is a frozen archive: its Release files may have passed their Valid-Until
}

// Login is what a server wants to know (HTTP basic authentication).
type Login struct{ User, Password string }

// State is everything on offer after an update.
type State struct {
	Indices  []*debian.Index
	Packages []*debian.Package // in the order of the sources; Index and Pin are set
	Digest   string            // identifies the contents of the indices and the pins, hex
	Warnings []string          // what apt would warn of, e.g. an architecture that a repository does not have

	byNameOnce sync.Once
	byName     map[string][]*debian.Package
}
