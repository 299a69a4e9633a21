package apt

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/diag"
)

// repository is one Release file and the indices that are wanted from it.
type repository struct {
	source Source // options and position; Components are those of the first entry
	target        // after rewriting
	wanted []wanted
}

// wanted is one index.
type wanted struct {
	component string // "" in a flat repository
	arch      string // "" in a flat repository
	implicit  bool   // architecture "all", which an archive may merge into the others
	sources   bool   // of source packages; arch is "" then
	source    Source
}

// path is where the index stands below the suite, without the suffix of its compression.
func (w wanted) path() string {
	switch {
	case w.sources && w.component == "":
		return "Sources"
	case w.sources:
		return w.component + "/source/Sources"
	case w.component == "":
		return "Packages"
	}
	return w.component + "/binary-" + w.arch + "/Packages"
}

// repositories groups the sources of one type ("deb" or "deb-src") by what they fetch; their order stays.
func (c *Client) repositories(kind string) ([]*repository, error) {
	var all []*repository
	for _, s := range c.opt.Sources {
		if s.Type != kind {
			continue
		}
		s.Suite = strings.ReplaceAll(s.Suite, "$(ARCH)", string(c.opt.Arches[0]))
		i := slices.IndexFunc(all, func(r *repository) bool { return r.source.URI == s.URI && r.source.Suite == s.Suite })
		if i < 0 {
			i = len(all)
			all = append(all, &repository{source: s, target: c.locate(s.URI)})
		}
		r := all[i]
		if r.source.SignedBy != s.SignedBy || r.source.Trusted != s.Trusted {
			return nil, diag.Userf(s.Pos, "repository %s %s has other signed-by or trusted options than at %s", s.URI, s.Suite, r.source.Pos).
				WithHint("give both entries the same options")
		}
		c.wantIndices(r, s)
	}
	for _, r := range all {
		if err := r.checkTarget(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// wantIndices adds the indices that an entry asks for.
func (c *Client) wantIndices(r *repository, s Source) {
	sources := s.Type == "deb-src"
	if s.Flat() {
		r.want(wanted{source: s, sources: sources})
		return
	}
	arches := c.arches(s)
	for _, component := range s.Components {
		if sources {
			r.want(wanted{component: component, source: s, sources: true})
			continue
		}
		for _, a := range arches {
			r.want(wanted{component: component, arch: a, source: s})
		}
		if !slices.Contains(arches, "all") && !slices.Contains(s.ArchesRemove, "all") {
			r.want(wanted{component: component, arch: "all", implicit: true, source: s})
		}
	}
}

func (r *repository) checkTarget() error {
	if r.uri == r.source.URI {
		return nil
	}
	moved := r.source
	moved.URI = r.uri
	if err := moved.check(); err != nil {
		return diag.Userf(r.source.Pos, "the mirror table turns %s into %q: %w", r.source.URI, r.uri, err)
	}
	r.uri = moved.URI
	return nil
}

func (r *repository) want(w wanted) {
	if !slices.ContainsFunc(r.wanted, func(o wanted) bool { return o.path() == w.path() }) {
		r.wanted = append(r.wanted, w)
	}
}

// arches applies arch=, arch+= and arch-=.
func (c *Client) arches(s Source) []string {
	var all []string
	add := func(a string) {
		if !slices.Contains(all, a) && !slices.Contains(s.ArchesRemove, a) {
			all = append(all, a)
		}
	}
	if s.Arches != nil {
		for _, a := range s.Arches {
			add(a)
		}
	} else {
		for _, a := range c.opt.Arches {
			add(string(a))
		}
	}
	for _, a := range s.ArchesAdd {
		add(a)
	}
	return all
}

// trusted reports whether the user takes this repository without a signature.
func (r *repository) trusted() bool { return r.source.Trusted == Yes }

// base is the URL of the folder that holds the Release file.
func (r *repository) base() string {
	if r.source.Flat() {
		return join(r.uri, path.Clean("/"+r.source.Suite))
	}
	return join(r.uri, "dists/"+r.source.Suite)
}

// listName names the repository's files in the download folder, in the manner of apt; the hash keeps apart what the
// replacement of slashes would mix up.
func (r *repository) listName() string {
	base := r.base()
	sum := sha256.Sum256([]byte(base))
	readable := base
	if u, err := url.Parse(base); err == nil {
		readable = u.Host + u.Path
	}
	readable = strings.Map(func(c rune) rune {
		if c == '/' || c < ' ' || c > '~' {
			return '_'
		}
		return c
	}, strings.Trim(readable, "/"))
	if len(readable) > 150 {
		readable = readable[:150]
	}
	return readable + "_" + hex.EncodeToString(sum[:4])
}

func (c *Client) listFile(elem ...string) string {
	return filepath.Join(append([]string{c.opt.DownloadDir, "apt", "lists"}, elem...)...)
}
