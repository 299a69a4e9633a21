package repo

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"n3x/internal/atomicfile"
)

// The database is a text: a line that names the format, then for each package one line of words and its index entry.
//
//	n3x repository 1
//	deb <name> <version> <architecture> <number of files> <length of the entry> [<owner> ...]
//	<path> <size> <sha256>
//	<index entry>

const stateMagic = "n3x repository 1\n"

// errState is a database that cannot be read, of a later n3x for example.
var errState = errors.New("not a database of this n3x")

// entry is one package, binary or source, of the repository.
type entry struct {
	kind    string // "deb" or "dsc"
	name    string
	version string
	arch    string   // "source" for a source package
	owners  []string // who put it there; sorted
	files   []file   // the .deb; or the .dsc and what it names
	stanza  string   // of Packages or Sources, ends in a newline
}

// file is a file of the pool.
type file struct {
	path   string // below the repository, e.g. "pool/main/h/hello/hello_1.0_amd64.deb"
	size   int64
	sha256 string
}

func compareEntries(a, b *entry) int {
	return cmp.Or(strings.Compare(a.kind, b.kind), strings.Compare(a.name, b.name), strings.Compare(a.arch, b.arch))
}

// present reports whether all files of an entry are in the pool.
func (e *entry) present(dir string) bool {
	for _, f := range e.files {
		if st, err := os.Stat(filepath.Join(dir, f.path)); err != nil || st.Size() != f.size {
			return false
		}
	}
	return true
}

// intact reports whether the files are those of the entry by their content.
func (e *entry) intact(dir string) bool {
	for _, f := range e.files {
		if s, err := sumFile(filepath.Join(dir, f.path)); err != nil || s.sha256 != f.sha256 {
			return false
		}
	}
	return true
}

func writeState(path string, entries []*entry) error {
	var b bytes.Buffer
	b.WriteString(stateMagic)
	for _, e := range entries {
		fmt.Fprintf(&b, "%s %s %s %s %d %d", e.kind, url.PathEscape(e.name), url.PathEscape(e.version), url.PathEscape(e.arch), len(e.files), len(e.stanza))
		for _, o := range e.owners {
			b.WriteString(" " + url.PathEscape(o))
		}
		b.WriteByte('\n')
		for _, f := range e.files {
			fmt.Fprintf(&b, "%s %d %s\n", url.PathEscape(f.path), f.size, f.sha256)
		}
		b.WriteString(e.stanza)
	}
	return atomicfile.Write(path, b.Bytes(), 0o644)
}

func readState(path string) ([]*entry, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(data, []byte(stateMagic))
	if !ok {
		return nil, errState
	}
	r := bufio.NewReader(bytes.NewReader(rest))
	var out []*entry
	for {
		e, err := readEntry(r)
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, errState
		}
		out = append(out, e)
	}
}

// readEntry reads one package; io.EOF means that there is none left.
func readEntry(r *bufio.Reader) (*entry, error) {
	words, err := readWords(r)
	if err != nil {
		return nil, err
	}
	if len(words) < 6 {
		return nil, errState
	}
	e := &entry{kind: words[0], name: words[1], version: words[2], arch: words[3], owners: slices.Clone(words[6:])}
	files, err1 := strconv.Atoi(words[4])
	length, err2 := strconv.Atoi(words[5])
	if err1 != nil || err2 != nil || files < 1 || length < 1 || length > maxStanza {
		return nil, errState
	}
	for range files {
		words, err := readWords(r)
		if err != nil || len(words) != 3 {
			return nil, errState
		}
		size, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil || !filepath.IsLocal(words[0]) {
			return nil, errState
		}
		e.files = append(e.files, file{path: words[0], size: size, sha256: words[2]})
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, errState
	}
	e.stanza = string(text)
	return e, nil
}

// maxStanza bounds an index entry.
const maxStanza = 16 << 20

func readWords(r *bufio.Reader) ([]string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		if line == "" && err == io.EOF {
			return nil, io.EOF
		}
		return nil, errState
	}
	words := strings.Split(strings.TrimSuffix(line, "\n"), " ")
	for i, w := range words {
		if words[i], err = url.PathUnescape(w); err != nil {
			return nil, errState
		}
	}
	return words, nil
}
