package repo

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sys/unix"

	"n3x/internal/atomicfile"
	"n3x/internal/debian/deb"
	"n3x/internal/diag"
)

// publish writes dists/<codename> for entries beside the old one and exchanges the two.
func (c *Change) publish(entries []*entry) error {
	r := c.r
	parent := filepath.Join(r.o.Dir, "dists")
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return err
	}
	fresh := filepath.Join(parent, "."+r.o.Codename+".new")
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	w := &distWriter{dir: fresh, first: map[string]string{}}
	if err := w.indices(entries, r.o.Fields); err != nil {
		return err
	}
	if same, err := sameIndices(r.dist(), w.listed); err != nil || same && r.signedAsWanted() {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	if err := w.keepHashes(r.dist()); err != nil {
		return err
	}
	if err := r.writeRelease(w); err != nil {
		return err
	}
	if err := exchange(fresh, r.dist()); err != nil {
		return err
	}
	return os.RemoveAll(fresh)
}

// signedAsWanted reports whether the published state bears signatures if and only if it should.
func (r *Repository) signedAsWanted() bool {
	_, err := os.Stat(filepath.Join(r.dist(), "InRelease"))
	return (err == nil) == (r.o.Keys != nil)
}

// exchange puts the folder fresh in the place of old, in one step where the file system can; old is then at fresh.
func exchange(fresh, old string) error {
	err := os.Rename(fresh, old) // nothing there yet, or an empty folder
	if err == nil || !errors.Is(err, fs.ErrExist) && !errors.Is(err, unix.ENOTEMPTY) {
		return err
	}
	err = unix.Renameat2(unix.AT_FDCWD, fresh, unix.AT_FDCWD, old, unix.RENAME_EXCHANGE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	aside := fresh + ".old"
	if err := os.Rename(old, aside); err != nil {
		return err
	}
	if err := os.Rename(fresh, old); err != nil {
		return errors.Join(err, os.Rename(aside, old))
	}
	return os.Rename(aside, fresh)
}

// sweepDists removes what killed processes left of half-made states.
func (c *Change) sweepDists() error {
	if !c.swept {
		return nil
	}
	dists := filepath.Join(c.r.o.Dir, "dists")
	entries, err := os.ReadDir(dists)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "."+c.r.o.Codename+".new") {
			if err := os.RemoveAll(filepath.Join(dists, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// distWriter writes the files below dists/<codename>.
type distWriter struct {
	dir    string
	first  map[string]string // SHA-256 -> a file with that content: equal indices are links to one file
	listed []named           // what Release lists
}

// indices writes Packages and Sources, also compressed, and the small Release files beside them.
func (w *distWriter) indices(entries []*entry, fields []Field) error {
	texts := map[string]*text{}
	for _, arch := range Architectures {
		folder, name := Component+"/binary-"+arch, "Packages"
		if arch == "source" {
			folder, name = Component+"/source", "Sources"
		}
		var b bytes.Buffer
		for _, e := range entries {
			if e.arch == arch || e.arch == "all" && arch != "source" {
				b.WriteString(e.stanza)
				b.WriteByte('\n')
			}
		}
		t, err := compressOnce(texts, b.Bytes())
		if err != nil {
			return err
		}
		if err := w.write(folder+"/"+name, t.plain, t.plainSums); err != nil {
			return err
		}
		if err := w.write(folder+"/"+name+".gz", t.gzip, t.gzipSums); err != nil {
			return err
		}
		release := releasePart(arch, fields)
		if err := w.write(folder+"/Release", release, sumBytes(release)); err != nil {
			return err
		}
	}
	return nil
}

// text is an index with its compressed form.
type text struct {
	plain, gzip         []byte
	plainSums, gzipSums sums
}

// compressOnce remembers what it has compressed: most architectures have the same packages, those for all.
func compressOnce(texts map[string]*text, data []byte) (*text, error) {
	s := sumBytes(data)
	if t := texts[s.sha256]; t != nil {
		return t, nil
	}
	var z bytes.Buffer
	g, err := gzip.NewWriterLevel(&z, gzip.DefaultCompression)
	if err != nil {
		return nil, err
	}
	if _, err := g.Write(data); err != nil {
		return nil, err
	}
	if err := g.Close(); err != nil {
		return nil, err
	}
	t := &text{plain: data, gzip: z.Bytes(), plainSums: s}
	t.gzipSums = sumBytes(t.gzip)
	texts[s.sha256] = t
	return t, nil
}

// releasePart is the Release file of one component and architecture.
func releasePart(arch string, fields []Field) []byte {
	values := map[string]string{"Component": Component, "Architecture": arch}
	for _, f := range fields {
		values[f.Name] = f.Value
	}
	values["Archive"] = values["Suite"]
	var b strings.Builder
	for _, name := range []string{"Archive", "Version", "Component", "Origin", "Label", "Architecture", "NotAutomatic", "ButAutomaticUpgrades", "Description"} {
		if values[name] != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, values[name])
		}
	}
	return []byte(b.String())
}

func (w *distWriter) write(name string, data []byte, s sums) error {
	w.listed = append(w.listed, named{name, s})
	path := filepath.Join(w.dir, name)
	hashed := filepath.Join(filepath.Dir(path), "by-hash", "SHA256", s.sha256)
	if err := os.MkdirAll(filepath.Dir(hashed), 0o777); err != nil {
		return err
	}
	if first, ok := w.first[s.sha256]; !ok || os.Link(first, path) != nil {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return err
		}
		w.first[s.sha256] = path
	}
	if err := os.Link(path, hashed); err != nil {
		return os.WriteFile(hashed, data, 0o644) // a file system without hard links
	}
	return nil
}

// keepHashes takes the indices of the state before over, by their hashes: readers that have the old Release file find
// what it names.
func (w *distWriter) keepHashes(old string) error {
	list, err := listedIn(old)
	if err != nil {
		return nil //nolint:nilerr // there was none, or a damaged one
	}
	for name, hash := range list {
		rel := filepath.Join(filepath.Dir(name), "by-hash", "SHA256", hash)
		err := os.Link(filepath.Join(old, name), filepath.Join(w.dir, rel))
		if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// sameIndices reports whether the published state at dir lists exactly these files.
func sameIndices(dir string, files []named) (bool, error) {
	list, err := listedIn(dir)
	if err != nil || len(list) != len(files) {
		return false, nil //nolint:nilerr // there is none, or a damaged one: to be made anew
	}
	for _, f := range files {
		if list[f.name] != f.sha256 {
			return false, nil
		}
	}
	return true, nil
}

// listedIn gives the SHA-256 of the files that the Release file at dir lists, by name.
func listedIn(dir string) (map[string]string, error) {
	st, err := readRelease(dir)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for line := range strings.SplitSeq(st.Field("SHA256"), "\n") {
		if w := strings.Fields(line); len(w) == 3 && filepath.IsLocal(w[2]) {
			out[w[2]] = w[0]
		}
	}
	return out, nil
}

func readRelease(dir string) (deb.Stanza, error) {
	data, err := os.ReadFile(filepath.Join(dir, "Release"))
	if err != nil {
		return deb.Stanza{}, err
	}
	stanzas, err := deb.ReadStanzas("Release", bytes.NewReader(data))
	if err != nil || len(stanzas) != 1 {
		return deb.Stanza{}, errors.Join(err, errState)
	}
	return stanzas[0], nil
}

// releaseOrder are the fields of a Release file that a repository's owner may set, where reprepro puts them.
var releaseOrder = []string{"Origin", "Label", "Suite", "Codename", "Version", "Date", "Valid-Until", "Architectures", "Components", "Description",
	"NotAutomatic", "ButAutomaticUpgrades", "Signed-By"}

// writeRelease writes the Release file and its signatures.
func (r *Repository) writeRelease(w *distWriter) error {
	date := r.o.Date.UTC()
	if date.Unix() < 0 {
		date = time.Unix(0, 0).UTC()
	}
	// apt does not go back to an older Release file.
	if st, err := readRelease(r.dist()); err == nil {
		if before, err := time.Parse(releaseTime, st.Field("Date")); err == nil && before.After(date) {
			date = before
		}
	}
	values := map[string]string{"Codename": r.o.Codename, "Date": date.Format(releaseTime), "Components": Component,
		"Architectures": strings.Join(Architectures[:len(Architectures)-1], " ")}
	for _, f := range r.o.Fields {
		if f.Name == "ValidFor" {
			values["Valid-Until"] = date.Add(mustPeriod(f.Value)).Format(releaseTime)
		} else {
			values[f.Name] = f.Value
		}
	}
	var b bytes.Buffer
	for _, name := range releaseOrder {
		if values[name] != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, values[name])
		}
	}
	b.WriteString("Acquire-By-Hash: yes\n")
	for _, list := range []struct {
		name string
		hash func(sums) string
	}{
		{"MD5Sum", func(s sums) string { return s.md5 }},
		{"SHA1", func(s sums) string { return s.sha1 }},
		{"SHA256", func(s sums) string { return s.sha256 }},
	} {
		b.WriteString(list.name + ":\n")
		for _, f := range w.listed {
			fmt.Fprintf(&b, " %s %d %s\n", list.hash(f.sums), f.size, f.name)
		}
	}
	if err := os.WriteFile(filepath.Join(w.dir, "Release"), b.Bytes(), 0o644); err != nil || r.o.Keys == nil {
		return err
	}
	inline, detached, err := r.o.Keys.sign(b.Bytes(), date)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(filepath.Join(w.dir, "InRelease"), inline, 0o644),
		os.WriteFile(filepath.Join(w.dir, "Release.gpg"), detached, 0o644))
}

const releaseTime = "Mon, 02 Jan 2006 15:04:05 UTC"

// settable are the fields of reprepro's conf/distributions that have a meaning here.
var settable = []string{"Origin", "Label", "Suite", "Version", "Description", "NotAutomatic", "ButAutomaticUpgrades", "Signed-By", "ValidFor", "SignWith", "Limit"}

func checkField(f Field) error {
	if !slices.Contains(settable, f.Name) {
		e := diag.Userf(diag.Pos{}, "a repository has no field %q", f.Name)
		if near := diag.Nearest(f.Name, settable); near != "" {
			return e.WithHint("did you mean %s?", near)
		}
		return e.WithHint("the fields are: %s", strings.Join(settable, " "))
	}
	if strings.ContainsAny(f.Value, "\n\r") || strings.TrimSpace(f.Value) == "" {
		return diag.Userf(diag.Pos{}, "field %s of the repository must have one line of text", f.Name)
	}
	if f.Name == "ValidFor" {
		if _, err := period(f.Value); err != nil {
			return err
		}
	}
	return nil
}

// period reads reprepro's spans of time: "7", "7d", "2w", "3m" (of 31 days), "1y".
func period(s string) (time.Duration, error) {
	var total time.Duration
	unit := map[byte]int{'d': 1, 'w': 7, 'm': 31, 'y': 365}
	for _, word := range strings.Fields(s) {
		days := 1
		if n, ok := unit[word[len(word)-1]]; ok {
			days, word = n, word[:len(word)-1]
		}
		var n int
		if _, err := fmt.Sscanf(word+"\n", "%d\n", &n); err != nil || n < 1 || n > 36500 {
			return 0, diag.Userf(diag.Pos{}, "ValidFor is %q, not a span of time", s).WithHint("write it as 30d, 4w, 2m or 1y")
		}
		total += time.Duration(n*days) * 24 * time.Hour
	}
	return total, nil
}

func mustPeriod(s string) time.Duration {
	d, err := period(s)
	if err != nil {
		panic("BUG: the field was checked")
	}
	return d
}

// conf is conf/distributions, by which people and programs see what the repository is.
func (r *Repository) conf() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "Codename: %s\nArchitectures: %s\nComponents: %s\n", r.o.Codename, strings.Join(Architectures, " "), Component)
	for _, f := range r.o.Fields {
		fmt.Fprintf(&b, "%s: %s\n", f.Name, f.Value)
	}
	return []byte(b.String())
}

func (r *Repository) confFile() string { return filepath.Join(r.o.Dir, "conf", "distributions") }

func (c *Change) configured() bool {
	data, err := os.ReadFile(c.r.confFile())
	return err == nil && bytes.Equal(data, c.r.conf()) && c.r.signedAsWanted()
}

func (c *Change) writeConf() error {
	return atomicfile.WriteIfChanged(c.r.confFile(), c.r.conf(), 0o644)
}
