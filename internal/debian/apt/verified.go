package apt

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"n3x/internal/debian"
	"n3x/internal/diag"
)

// verified remembers which files have been found right, with their size and time: reading 150 MB to hash them takes
// longer than a build in which nothing changed may. The record is a file of lines that are only ever appended.
type verified struct {
	dir    string // of the download folder; paths in the record are below it or absolute
	mu     sync.Mutex
	known  map[string]string // "hash size time" by path
	append []byte
	file   string
}

func (c *Client) openVerified() (*verified, error) {
	v := &verified{dir: filepath.Join(c.opt.DownloadDir, "deb"), known: map[string]string{}}
	v.file = filepath.Join(v.dir, ".n3x-verified")
	data, err := os.ReadFile(v.file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, diag.Failedf(diag.Pos{}, "read the record of checked packages: %w", err)
	}
	lines := 0
	for line := range strings.Lines(string(data)) {
		lines++
		words := strings.Fields(line) // hash, size, time, path
		if len(words) != 4 {
			continue
		}
		if path, err := url.PathUnescape(words[3]); err == nil {
			v.known[path] = strings.Join(words[:3], " ")
		}
	}
	if lines > 4*len(v.known)+1000 { // files come and go
		os.Remove(v.file)
		v.known = map[string]string{}
	}
	return v, nil
}

// stamp identifies the state of a file: it changes whenever someone writes to it.
func stamp(st os.FileInfo) string {
	return fmt.Sprintf("%d %d", st.Size(), st.ModTime().UnixNano())
}

// check verifies the file at path. A package without SHA-256 (a local file) passes when it exists.
func (v *verified) check(path string, p *debian.Package) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if p.SHA256 == "" {
		return nil
	}
	if p.Size > 0 && st.Size() != p.Size {
		return fmt.Errorf("%w: it has %d bytes, expected %d", errMismatch, st.Size(), p.Size)
	}
	v.mu.Lock()
	known := v.known[v.name(path)] == p.SHA256+" "+stamp(st)
	v.mu.Unlock()
	if known {
		return nil
	}
	sum, _, err := hashFile(path)
	if err != nil {
		return err
	}
	if sum != p.SHA256 {
		return fmt.Errorf("%w: its SHA-256 is %s, expected %s", errMismatch, sum, p.SHA256)
	}
	if time.Since(st.ModTime()) < 2*time.Second {
		return nil // still fresh enough to be changed again within one tick of the file system's clock
	}
	v.record(path, p.SHA256, st)
	return nil
}

// add records a file that was verified while it was downloaded.
func (v *verified) add(path, sha256 string) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	v.record(path, sha256, st)
	return nil
}

func (v *verified) record(path, sha256 string, st os.FileInfo) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.known[v.name(path)] = sha256 + " " + stamp(st)
	v.append = fmt.Appendf(v.append, "%s %s %s\n", sha256, stamp(st), url.PathEscape(v.name(path)))
}

func (v *verified) name(path string) string {
	if rel, err := filepath.Rel(v.dir, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

// close appends what was learned; one write, so that lines of several processes do not mix.
func (v *verified) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.append) == 0 {
		return
	}
	// It is only a record: what is not written will be hashed again.
	if os.MkdirAll(v.dir, 0o777) != nil {
		return
	}
	f, err := os.OpenFile(v.file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
	if err != nil {
		return
	}
	f.Write(v.append)
	f.Close()
}
