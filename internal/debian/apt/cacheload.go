package apt

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"

	"golang.org/x/sync/errgroup"

	"n3x/internal/debian"
)

var errCache = errors.New("damaged cache file")

// cacheReader walks the bytes of a cached index; bad is set when they make no sense.
type cacheReader struct {
	data string
	pos  int
	bad  bool
}

func (r *cacheReader) uint() uint64 {
	if r.pos < len(r.data) && r.data[r.pos] < 0x80 { // the usual case
		r.pos++
		return uint64(r.data[r.pos-1])
	}
	var v uint64
	for shift := 0; shift < 64 && r.pos < len(r.data); shift += 7 {
		c := r.data[r.pos]
		r.pos++
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
	r.bad = true
	return 0
}

// count is a number of things of which each takes at least one byte.
func (r *cacheReader) count() int {
	v := r.uint()
	if v > uint64(len(r.data)) || v > math.MaxInt32 {
		r.bad = true
		return 0
	}
	return int(v)
}

// sub is a reader of the next n bytes, which are skipped.
func (r *cacheReader) sub(n uint64) *cacheReader {
	if n > uint64(len(r.data)-r.pos) {
		r.bad = true
		return &cacheReader{bad: true}
	}
	s := &cacheReader{data: r.data[r.pos : r.pos+int(n)]}
	r.pos += int(n)
	return s
}

// loadPackages reads what [parsePackages] gave. The packages share memory with data.
func loadPackages(data string) (*parsed, error) {
	body := len(data) - 4
	if body < len(cacheMagic) || data[:len(cacheMagic)] != cacheMagic {
		return nil, errCache
	}
	crc := crc32.New(castagnoli)
	hashed := bufio.NewWriterSize(crc, 64<<10) // spares a copy of the whole string
	hashed.WriteString(data[:body])
	hashed.Flush()
	if string(binary.LittleEndian.AppendUint32(nil, crc.Sum32())) != data[body:] {
		return nil, errCache
	}
	r := &cacheReader{data: data[:body], pos: len(cacheMagic)}
	nStrings, textLen, nAlts, nPackages := r.count(), r.uint(), r.count(), r.count()
	altTable, pkgTable := r.table(nAlts), r.table(nPackages)
	if r.bad {
		return nil, errCache
	}
	l := &cacheLoader{alts: make([]debian.Alternatives, nAlts)}
	l.strings = r.strings(nStrings, textLen)
	p := &parsed{packages: make([]debian.Package, nPackages)}
	ok := each(r, altTable, nAlts, func(r *cacheReader, inner, from, to int) { l.loadAlternatives(r, inner, l.alts[from:to]) }) &&
		each(r, pkgTable, nPackages, func(r *cacheReader, inner, from, to int) { l.loadPackages(r, inner, p.packages[from:to]) })
	p.sha256 = l.string(r)
	for range r.count() {
		p.warnings = append(p.warnings, l.string(r))
	}
	if r.bad || !ok {
		return nil, errCache
	}
	return p, nil
}

// table reads the sizes of the chunks that hold n items.
func (r *cacheReader) table(n int) []chunk {
	all := make([]chunk, (n+chunkItems-1)/chunkItems)
	for i := range all {
		all[i] = chunk{r.uint(), uint64(r.count())}
	}
	return all
}

// each loads the chunks that follow in r side by side.
func each(r *cacheReader, table []chunk, n int, load func(r *cacheReader, inner, from, to int)) bool {
	readers := make([]*cacheReader, len(table))
	var g errgroup.Group
	for i, c := range table {
		readers[i] = r.sub(c.bytes)
		g.Go(func() error {
			load(readers[i], int(c.inner), i*chunkItems, min(n, (i+1)*chunkItems))
			return nil
		})
	}
	g.Wait()
	for _, s := range readers {
		if s.bad || s.pos != len(s.data) {
			return false
		}
	}
	return !r.bad
}

func (r *cacheReader) strings(n int, textLen uint64) []string {
	all := make([]string, n)
	lengths := make([]int, n)
	for i := range lengths {
		lengths[i] = r.count()
	}
	text := r.sub(textLen).data
	for i, length := range lengths {
		if length > len(text) {
			r.bad = true
			return all
		}
		all[i], text = text[:length], text[length:]
	}
	return all
}

// cacheLoader holds what the chunks refer to.
type cacheLoader struct {
	strings []string
	alts    []debian.Alternatives
}

func (l *cacheLoader) string(r *cacheReader) string {
	n := r.uint()
	if n >= uint64(len(l.strings)) {
		r.bad = true
		return ""
	}
	return l.strings[n]
}

func (l *cacheLoader) loadAlternatives(r *cacheReader, relations int, into []debian.Alternatives) {
	pool := make([]debian.Relation, relations)
	for i := range into {
		k := r.count()
		if k > len(pool) || r.bad {
			r.bad = true
			return
		}
		alts := pool[:k:k]
		pool = pool[k:]
		for j := range alts {
			rel := &alts[j]
			rel.Name, rel.ArchQual, rel.Op, rel.Version = l.string(r), l.string(r), l.string(r), debian.Version(l.string(r))
		}
		into[i] = alts
	}
}

func (l *cacheLoader) loadPackages(r *cacheReader, references int, into []debian.Package) {
	pool := make([]debian.Alternatives, references)
	for i := range into {
		p := &into[i]
		for _, s := range stringFields(p) {
			*s = l.string(r)
		}
		flags := r.uint()
		p.Essential, p.Protected = flags&1 != 0, flags&2 != 0
		p.Size, p.InstalledSize = int64(r.uint()), int64(r.uint())
		for _, d := range dependencyFields(p) {
			k := r.count()
			if k > len(pool) || r.bad {
				r.bad = true
				return
			}
			if k == 0 {
				continue
			}
			*d = debian.Dependency(pool[:k:k])
			pool = pool[k:]
			for j := range *d {
				a := r.uint()
				if a >= uint64(len(l.alts)) {
					r.bad = true
					return
				}
				(*d)[j] = l.alts[a]
			}
		}
	}
}
