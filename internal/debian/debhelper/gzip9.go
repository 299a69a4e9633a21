package debhelper

import (
	"encoding/binary"
	"hash/crc32"
)

// gzip9 compresses as `gzip -9n` (GNU gzip 1.12 and 1.13) does, to the same bytes: the sums of a package's compressed
// documents and its size depend on them. Go's own compressor and zlib choose other matches and blocks.
//
// The method is the one that Deutsch describes in RFC 1951, section 4, with lazy matching; what is particular to gzip is
// the size of its window and tables, when it ends a block, and how it breaks ties in Huffman trees.
func gzip9(data []byte) []byte {
	d := &deflater{in: data, out: bitWriter{buf: []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3}}}
	d.run()
	out := binary.LittleEndian.AppendUint32(d.out.buf, crc32.ChecksumIEEE(data))
	return binary.LittleEndian.AppendUint32(out, uint32(len(data)))
}

const (
	windowSize   = 1 << 15
	windowMask   = windowSize - 1
	hashBits     = 15
	hashShift    = 5
	hashMask     = 1<<hashBits - 1
	minMatch     = 3
	maxMatch     = 258
	minLookahead = maxMatch + minMatch + 1
	maxDistance  = windowSize - minLookahead
	tooFar       = 4096 // a match of three bytes is not worth a larger distance
	goodMatch    = 32   // with one this long, search less for a better one
	maxLazy      = maxMatch
	niceMatch    = maxMatch
	maxChain     = 4096
	blockSymbols = 0x8000
)

// deflater keeps two windows of input, and for each of its positions the previous one with the same three bytes.
type deflater struct {
	in  []byte
	out bitWriter

	window                 [2*windowSize + minLookahead]byte
	head                   [hashMask + 1]int
	prev                   [windowSize]int
	hash                   int
	blockStart, at, ahead  int
	matchStart, prevLength int
	end                    bool

	symbols []symbol
	litFreq [literals + lengthCodes + 1]int
	dstFreq [distanceCodes]int
	dists   int
}

// symbol is a literal (distance 0), or a match: length less 3 and distance.
type symbol struct {
	lit  byte
	dist uint16
}

func (d *deflater) run() {
	d.beginBlock()
	d.ahead = copy(d.window[:2*windowSize], d.in)
	d.in = d.in[d.ahead:]
	if d.ahead == 0 {
		d.end = true
	}
	d.fill()
	for _, c := range d.window[:minMatch-1] {
		d.roll(c)
	}
	d.match()
	d.flush(true)
	d.out.align()
}

// fill reads input until the longest match fits, moving the upper window down when it is used up.
func (d *deflater) fill() {
	for d.ahead < minLookahead && !d.end {
		more := 2*windowSize - d.ahead - d.at
		if d.at >= windowSize+maxDistance {
			copy(d.window[:windowSize], d.window[windowSize:2*windowSize])
			d.matchStart -= windowSize
			d.at -= windowSize
			d.blockStart -= windowSize
			for i, n := range d.head {
				d.head[i] = max(0, n-windowSize)
			}
			for i, n := range d.prev {
				d.prev[i] = max(0, n-windowSize)
			}
			more += windowSize
		}
		n := copy(d.window[d.at+d.ahead:d.at+d.ahead+more], d.in)
		d.in = d.in[n:]
		d.ahead += n
		if n == 0 {
			d.end = true
			clear(d.window[d.at+d.ahead : d.at+d.ahead+minMatch-1])
		}
	}
}

func (d *deflater) roll(c byte) { d.hash = (d.hash<<hashShift ^ int(c)) & hashMask }

// insert enters the current position and gives the last one with the same hash.
func (d *deflater) insert() int {
	d.roll(d.window[d.at+minMatch-1])
	last := d.head[d.hash]
	d.prev[d.at&windowMask] = last
	d.head[d.hash] = d.at
	return last
}

// match finds matches and takes one when the next position has no longer one.
func (d *deflater) match() {
	pending := false
	length := minMatch - 1
	for d.ahead != 0 {
		candidate := d.insert()
		d.prevLength = length
		previous := d.matchStart
		length = minMatch - 1
		if candidate != 0 && d.prevLength < maxLazy && d.at-candidate <= maxDistance && d.at <= 2*windowSize-minLookahead {
			length = min(d.longest(candidate), d.ahead)
			if length == minMatch && d.at-d.matchStart > tooFar {
				length--
			}
		}
		switch {
		case d.prevLength >= minMatch && length <= d.prevLength:
			full := d.tally(d.at-1-previous, d.prevLength-minMatch)
			d.ahead -= d.prevLength - 1
			for n := d.prevLength - 2; n > 0; n-- {
				d.at++
				d.insert()
			}
			pending = false
			length = minMatch - 1
			d.at++
			d.flushIf(full)
		case pending:
			d.flushIf(d.tally(0, int(d.window[d.at-1])))
			d.at++
			d.ahead--
		default:
			pending = true
			d.at++
			d.ahead--
		}
		d.fill()
	}
	if pending {
		d.tally(0, int(d.window[d.at-1]))
	}
}

// longest follows the chain of positions with the same hash.
func (d *deflater) longest(candidate int) int {
	chain := maxChain
	if d.prevLength >= goodMatch {
		chain >>= 2
	}
	limit := max(0, d.at-maxDistance)
	scan := d.window[d.at : d.at+maxMatch]
	best := d.prevLength
	for {
		m := d.window[candidate : candidate+maxMatch]
		if m[best] == scan[best] && m[best-1] == scan[best-1] && m[0] == scan[0] && m[1] == scan[1] {
			n := 2
			for n < maxMatch && m[n] == scan[n] {
				n++
			}
			if n > best {
				d.matchStart, best = candidate, n
				if n >= niceMatch {
					return best
				}
			}
		}
		candidate = d.prev[candidate&windowMask]
		chain--
		if candidate <= limit || chain == 0 {
			return best
		}
	}
}

// tally records a symbol and tells whether the block should end: when its buffer is full, or when it compresses so well
// by literals alone that another one may do better.
func (d *deflater) tally(dist, lc int) bool {
	d.symbols = append(d.symbols, symbol{byte(lc), uint16(dist)})
	if dist == 0 {
		d.litFreq[lc]++
	} else {
		d.litFreq[lengthCode[lc]+literals+1]++
		d.dstFreq[distanceCode(dist-1)]++
		d.dists++
	}
	n := len(d.symbols)
	if n&0xfff == 0 {
		out := n * 8
		for code, freq := range d.dstFreq {
			out += freq * (5 + extraDistance[code])
		}
		if d.dists < n/2 && out>>3 < (d.at-d.blockStart)/2 {
			return true
		}
	}
	return n == blockSymbols-1 || d.dists == blockSymbols
}

func (d *deflater) flushIf(full bool) {
	if full {
		d.flush(false)
		d.blockStart = d.at
	}
}

func (d *deflater) beginBlock() {
	d.symbols = d.symbols[:0]
	clear(d.litFreq[:])
	clear(d.dstFreq[:])
	d.litFreq[endOfBlock] = 1
	d.dists = 0
}

// flush writes the block in the shortest of the three forms.
func (d *deflater) flush(last bool) {
	lit := buildTree(d.litFreq[:], fixedLiteral[:], extraLength, literals+1, 15)
	dist := buildTree(d.dstFreq[:], fixedDistance[:], extraDistance[:], 0, 15)
	lengths := newLengthTree(lit, dist)
	dynamic := (lit.bits + dist.bits + lengths.total() + 3 + 7) >> 3
	fixed := (lit.fixedBits + dist.fixedBits + 3 + 7) >> 3
	dynamic = min(dynamic, fixed)
	stored := d.at - d.blockStart
	final := 0
	if last {
		final = 1
	}
	switch {
	case stored+4 <= dynamic && d.blockStart >= 0:
		d.out.bits(final, 3)
		d.out.align()
		d.out.buf = binary.LittleEndian.AppendUint16(d.out.buf, uint16(stored))
		d.out.buf = binary.LittleEndian.AppendUint16(d.out.buf, ^uint16(stored))
		d.out.buf = append(d.out.buf, d.window[d.blockStart:d.at]...)
	case fixed == dynamic:
		d.out.bits(1<<1+final, 3)
		d.writeSymbols(fixedLiteral[:], fixedDistance[:])
	default:
		d.out.bits(2<<1+final, 3)
		lengths.write(&d.out, lit, dist)
		d.writeSymbols(lit.codes, dist.codes)
	}
	d.beginBlock()
}

func (d *deflater) writeSymbols(lit, dist []code) {
	for _, s := range d.symbols {
		if s.dist == 0 {
			d.out.code(lit[s.lit])
			continue
		}
		c := lengthCode[s.lit]
		d.out.code(lit[c+literals+1])
		d.out.bits(int(s.lit)-lengthBase[c], extraLength[c])
		away := int(s.dist) - 1
		c = distanceCode(away)
		d.out.code(dist[c])
		d.out.bits(away-distanceBase[c], extraDistance[c])
	}
	d.out.code(lit[endOfBlock])
}

// bitWriter packs bits from the lowest up.
type bitWriter struct {
	buf  []byte
	held uint64
	n    int
}

func (w *bitWriter) bits(value, n int) {
	w.held |= uint64(value) << w.n
	w.n += n
	for w.n >= 8 {
		w.buf = append(w.buf, byte(w.held))
		w.held >>= 8
		w.n -= 8
	}
}

func (w *bitWriter) code(c code) { w.bits(int(c.bits), int(c.len)) }

func (w *bitWriter) align() {
	if w.n > 0 {
		w.buf = append(w.buf, byte(w.held))
	}
	w.held, w.n = 0, 0
}
