package debhelper

import "math/bits"

const (
	literals      = 256
	endOfBlock    = 256
	lengthCodes   = 29
	distanceCodes = 30
	bitCodes      = 19
)

var (
	extraLength   = []int{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	extraDistance = [distanceCodes]int{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
	extraBits     = []int{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 3, 7}
	bitOrder      = [bitCodes]int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

	lengthBase, lengthCode      = lengthTables()
	distanceBase                = distanceTable()
	fixedLiteral, fixedDistance = fixedCodes()
)

// code is a Huffman code, its bits in the order in which they are written.
type code struct {
	bits uint16
	len  uint8
}

func lengthTables() (base [lengthCodes]int, of [256]int) {
	n := 0
	for c := range lengthCodes - 1 {
		base[c] = n
		for range 1 << extraLength[c] {
			of[n] = c
			n++
		}
	}
	of[255] = lengthCodes - 1 // the longest match has a code of its own
	base[lengthCodes-1] = 255
	return base, of
}

func distanceTable() (base [distanceCodes]int) {
	n := 0
	for c := range distanceCodes {
		base[c] = n
		n += 1 << extraDistance[c]
	}
	return base
}

// distanceCode is the code of a distance less 1.
func distanceCode(away int) int {
	if away < 4 {
		return away
	}
	high := bits.Len(uint(away)) - 1
	return 2*high + away>>(high-1)&1
}

func fixedCodes() (lit [literals + lengthCodes + 3]code, dist [distanceCodes]code) {
	for i := range lit {
		switch {
		case i < 144:
			lit[i].len = 8
		case i < 256:
			lit[i].len = 9
		case i < 280:
			lit[i].len = 7
		default:
			lit[i].len = 8
		}
	}
	assign(lit[:])
	for i := range dist {
		dist[i] = code{bits.Reverse16(uint16(i)) >> 11, 5}
	}
	return lit, dist
}

// assign gives codes of known lengths their bits (RFC 1951, section 3.2.2).
func assign(codes []code) {
	var count, next [17]int
	for _, c := range codes {
		count[c.len]++
	}
	count[0] = 0
	n := 0
	for l := 1; l <= 15; l++ {
		n = (n + count[l-1]) << 1
		next[l] = n
	}
	for i, c := range codes {
		if c.len > 0 {
			codes[i].bits = bits.Reverse16(uint16(next[c.len])) >> (16 - c.len)
			next[c.len]++
		}
	}
}

// huffman is the code for some frequencies.
type huffman struct {
	codes           []code
	max             int // the largest symbol that occurs
	bits, fixedBits int // of all symbols, in this code and in the fixed one, extra bits included
}

// heap orders nodes by frequency, then by the depth of what hangs below; of equal ones the order of the heap decides,
// which is why this is the textbook's heap and not container/heap.
type heap struct {
	nodes []int // from 1
	freq  []int
	depth []int
}

func (h *heap) smaller(n, m int) bool {
	return h.freq[n] < h.freq[m] || h.freq[n] == h.freq[m] && h.depth[n] <= h.depth[m]
}

func (h *heap) down(k int) {
	v := h.nodes[k]
	for j := 2 * k; j < len(h.nodes); j *= 2 {
		if j+1 < len(h.nodes) && h.smaller(h.nodes[j+1], h.nodes[j]) {
			j++
		}
		if h.smaller(v, h.nodes[j]) {
			break
		}
		h.nodes[k] = h.nodes[j]
		k = j
	}
	h.nodes[k] = v
}

// buildTree makes the code: extra are the extra bits of symbols from base on, limit the longest code allowed. A code
// always has at least two symbols.
func buildTree(freq []int, fixed []code, extra []int, base, limit int) *huffman {
	n := len(freq)
	t := &huffman{codes: make([]code, n), max: -1}
	h := &heap{nodes: make([]int, 1, n+1), freq: append(append(make([]int, 0, 2*n+1), freq...), make([]int, n+1)...), depth: make([]int, 2*n+1)}
	for i, f := range freq {
		if f != 0 {
			h.nodes = append(h.nodes, i)
			t.max = i
		}
	}
	forced := map[int]bool{}
	for len(h.nodes) < 3 {
		add := 0
		if t.max < 2 {
			t.max++
			add = t.max
		}
		h.nodes = append(h.nodes, add)
		h.freq[add] = 1
		forced[add] = true
		t.bits--
		if fixed != nil {
			t.fixedBits -= int(fixed[add].len)
		}
	}
	for k := (len(h.nodes) - 1) / 2; k >= 1; k-- {
		h.down(k)
	}
	parent := make([]int, 2*n+1)
	var order []int // nodes by falling frequency, from the end
	next := n
	for {
		a := h.nodes[1]
		h.nodes[1] = h.nodes[len(h.nodes)-1]
		h.nodes = h.nodes[:len(h.nodes)-1]
		h.down(1)
		c := h.nodes[1]
		order = append(order, a, c)
		h.freq[next] = h.freq[a] + h.freq[c]
		h.depth[next] = max(h.depth[a], h.depth[c]) + 1
		parent[a], parent[c] = next, next
		h.nodes[1] = next
		next++
		h.down(1)
		if len(h.nodes) < 3 {
			break
		}
	}
	order = append(order, h.nodes[1])
	t.lengths(h, parent, order, fixed, extra, base, limit)
	assign(t.codes)
	return t
}

// lengths sets the lengths of codes from their depth in the tree, and moves codes that are too long up.
func (t *huffman) lengths(h *heap, parent, order []int, fixed []code, extra []int, base, limit int) {
	n := len(t.codes)
	level := make([]int, len(parent))
	var count [17]int
	overflow := 0
	for i := len(order) - 2; i >= 0; i-- {
		node := order[i]
		l := level[parent[node]] + 1
		if l > limit {
			l = limit
			overflow++
		}
		level[node] = l
		if node >= n {
			continue
		}
		count[l]++
		more := 0
		if node >= base {
			more = extra[node-base]
		}
		t.codes[node].len = uint8(l)
		t.bits += h.freq[node] * (l + more)
		if fixed != nil {
			t.fixedBits += h.freq[node] * (int(fixed[node].len) + more)
		}
	}
	if overflow == 0 {
		return
	}
	for ; overflow > 0; overflow -= 2 {
		l := limit - 1
		for count[l] == 0 {
			l--
		}
		count[l]--
		count[l+1] += 2
		count[limit]--
	}
	at := 0
	for l := limit; l > 0; l-- {
		for k := count[l]; k > 0; {
			node := order[at]
			at++
			if node >= n {
				continue
			}
			t.bits += (l - int(t.codes[node].len)) * h.freq[node]
			t.codes[node].len = uint8(l)
			k--
		}
	}
}

// lengthTree is the code for the lengths of the two other codes, which are written first.
type lengthTree struct {
	*huffman
	last int // how many lengths of it are written, less 1
}

// runs calls f for each symbol that tells the lengths of a code: a length, or a repetition with its count.
func (t *huffman) runs(f func(symbol, extra int)) {
	before := -1
	for i := 0; i <= t.max; {
		l := int(t.codes[i].len)
		n := 1
		for i+n <= t.max && int(t.codes[i+n].len) == l {
			n++
		}
		i += n
		if l == 0 {
			for ; n >= 3; n -= min(n, 138) {
				if k := min(n, 138); k <= 10 {
					f(17, k-3)
				} else {
					f(18, k-11)
				}
			}
		} else {
			if l != before {
				f(l, 0)
				n--
			}
			for ; n >= 3; n -= min(n, 6) {
				f(16, min(n, 6)-3)
			}
		}
		for ; n > 0; n-- {
			f(l, 0)
		}
		before = l
	}
}

func newLengthTree(lit, dist *huffman) *lengthTree {
	freq := make([]int, bitCodes)
	count := func(symbol, _ int) { freq[symbol]++ }
	lit.runs(count)
	dist.runs(count)
	t := &lengthTree{buildTree(freq, nil, extraBits, 0, 7), bitCodes - 1}
	for t.last >= 3 && t.codes[bitOrder[t.last]].len == 0 {
		t.last--
	}
	return t
}

// total is the size in bits of all that tells the codes.
func (t *lengthTree) total() int { return t.bits + 3*(t.last+1) + 5 + 5 + 4 }

func (t *lengthTree) write(w *bitWriter, lit, dist *huffman) {
	w.bits(lit.max-256, 5)
	w.bits(dist.max, 5)
	w.bits(t.last-3, 4)
	for _, symbol := range bitOrder[:t.last+1] {
		w.bits(int(t.codes[symbol].len), 3)
	}
	emit := func(symbol, extra int) {
		w.code(t.codes[symbol])
		switch symbol {
		case 16:
			w.bits(extra, 2)
		case 17:
			w.bits(extra, 3)
		case 18:
			w.bits(extra, 7)
		}
	}
	lit.runs(emit)
	dist.runs(emit)
}
