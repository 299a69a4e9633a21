package apt

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"n3x/internal/debian/deb"
	"n3x/internal/diag"
)

// release is a parsed Release file.
type release struct {
	Origin, Label, Suite, Codename, Version string
	Date, ValidUntil                        time.Time // zero = not given
	NotAutomatic, ButAutomaticUpgrades      bool
	ByHash                                  bool
	Components, Arches, NoSupportForAll     []string
	files                                   map[string]checksum // by path below the suite
}

// checksum is what a Release file says of one file.
type checksum struct {
	size   int64
	sha256 string
}

func parseRelease(name string, text []byte) (*release, error) {
	st, err := deb.NewReader(name, bytes.NewReader(text)).Next()
	if err == io.EOF {
		return nil, diag.Failedf(diag.Pos{File: name}, "the Release file is empty")
	}
	if err != nil {
		return nil, err
	}
	r := &release{
		Origin: st.Field("Origin"), Label: st.Field("Label"), Suite: st.Field("Suite"), Codename: st.Field("Codename"),
		Version: st.Field("Version"), NotAutomatic: flag(st, "NotAutomatic"), ButAutomaticUpgrades: flag(st, "ButAutomaticUpgrades"),
		ByHash: flag(st, "Acquire-By-Hash"), Components: strings.Fields(st.Field("Components")),
		Arches: strings.Fields(st.Field("Architectures")), NoSupportForAll: strings.Fields(st.Field("No-Support-for-Architecture-all")),
	}
	if r.Date, err = parseDate(st, "Date"); err != nil {
		return nil, err
	}
	if r.ValidUntil, err = parseDate(st, "Valid-Until"); err != nil {
		return nil, err
	}
	sums, ok := st.Lookup("SHA256")
	if !ok {
		return nil, diag.Failedf(st.Pos(""), "the Release file has no SHA256 hashes").
			WithHint("archives that only offer MD5 or SHA-1 cannot be verified and are not supported")
	}
	r.files = make(map[string]checksum, strings.Count(sums.Value, "\n"))
	for i, line := range strings.Split(sums.Value, "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		if err := r.addSum(line); err != nil {
			return nil, diag.Failedf(diag.Pos{File: name, Line: sums.Line + i}, "field SHA256: %w", err)
		}
	}
	return r, nil
}

func (r *release) addSum(line string) error {
	words := strings.Fields(line)
	if len(words) != 3 {
		return fmt.Errorf("expected \"hash size name\", found %q", line)
	}
	size, err := strconv.ParseInt(words[1], 10, 64)
	if sum, herr := hex.DecodeString(words[0]); err != nil || size < 0 || herr != nil || len(sum) != 32 {
		return fmt.Errorf("expected \"hash size name\", found %q", line)
	}
	r.files[words[2]] = checksum{size, strings.ToLower(words[0])}
	return nil
}

func flag(st deb.Stanza, name string) bool {
	on, err := parseBool(st.Field(name), false)
	return err == nil && on
}

// parseDate reads the formats that archives use: RFC 1123 in UTC ("Sat, 15 Nov 2025 09:55:01 UTC"), also with an offset.
func parseDate(st deb.Stanza, name string) (time.Time, error) {
	value := strings.TrimSpace(st.Field(name))
	if value == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{
		"Mon, _2 Jan 2006 15:04:05 MST", "Mon, _2 Jan 2006 15:04:05 -0700", "Mon, _2 Jan 2006 15:04:05",
		"Mon Jan _2 15:04:05 2006",
	} {
		t, err := time.Parse(layout, value)
		if err != nil {
			continue
		}
		if _, zone := t.Zone(); zone == 0 { // "MST" in the layout takes any name; only UTC's are meant
			return t.UTC(), nil
		}
		return t, nil
	}
	return time.Time{}, diag.Failedf(st.Pos(name), "field %s: cannot read the date %q", name, value)
}

// checkDates holds the Release file against the clock.
func (r *release) checkDates(s Source, now time.Time) error {
	if s.CheckDate == No {
		return nil
	}
	future := s.DateMaxFuture
	if future == 0 {
		future = 10 * time.Second
	}
	if !r.Date.IsZero() && r.Date.After(now.Add(future)) {
		return diag.Failedf(s.Pos, "the Release file is from the future: its date is %s, the clock of this machine says %s", stampText(r.Date), stampText(now)).
			WithHint("set the clock, or add [check-date=no] to the repository")
	}
	if s.CheckValidUntil == No {
		return nil
	}
	until := r.ValidUntil
	if s.ValidUntilMin > 0 && !until.IsZero() && until.Before(r.Date.Add(s.ValidUntilMin)) {
		until = r.Date.Add(s.ValidUntilMin)
	}
	if s.ValidUntilMax > 0 && !r.Date.IsZero() && (until.IsZero() || until.After(r.Date.Add(s.ValidUntilMax))) {
		until = r.Date.Add(s.ValidUntilMax)
	}
	if !until.IsZero() && until.Before(now) {
		return diag.Failedf(s.Pos, "the Release file has expired: it was valid until %s, the clock of this machine says %s", stampText(until), stampText(now)).
			WithNote("an expired file means an abandoned mirror, or someone who holds updates back").
			WithHint("use another mirror; for a frozen archive add [check-valid-until=no] to the repository")
	}
	return nil
}

func stampText(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// hasComponent follows apt: security archives name a component "updates/main", and "main" means it too.
func (r *release) hasComponent(name string) bool {
	return len(r.Components) == 0 || slices.ContainsFunc(r.Components, func(c string) bool {
		return c == name || c[strings.LastIndex(c, "/")+1:] == name
	})
}

func (r *release) hasArch(name string) bool {
	return len(r.Arches) == 0 || slices.Contains(r.Arches, name)
}

// variants are the compressed forms of an index, the one to take first. gzip is a third larger than xz but unpacks
// five times faster; that pays from about 6 MB/s on, and a rate limit says that the line is slower.
func (r *release) variants(path string, slowLine bool) []variant {
	order := []string{".zst", ".gz", ".xz", ".bz2", ""}
	if slowLine {
		order = []string{".xz", ".zst", ".bz2", ".gz", ""}
	}
	var all []variant
	for _, ext := range order {
		if sum, ok := r.files[path+ext]; ok {
			all = append(all, variant{path + ext, sum})
		}
	}
	return all
}

type variant struct {
	path string
	checksum
}
