package datastore

import (
	"encoding/binary"
	"errors"
	"sync"
)

// poolShards is the number of parts that pools have, so that several goroutines rarely wait for each other.
const poolShards = 32

// pool numbers different strings. The position of a string tells its shard by the remainder.
type pool [poolShards]struct {
	mu   sync.Mutex
	ids  map[string]uint64
	list []string
}

// shardOf need not be a good hash: it only spreads strings.
func shardOf(s string) uint64 {
	h := uint64(len(s))
	if n := len(s); n > 0 {
		h = h*31 + uint64(s[0])
		h = h*31 + uint64(s[n/2])
		h = h*31 + uint64(s[n-1])
		h = h*31 + uint64(s[n*3/4])
	}
	return h % poolShards
}

func (p *pool) put(s string) uint64 {
	n := shardOf(s)
	shard := &p[n]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if id, ok := shard.ids[s]; ok {
		return id
	}
	if shard.ids == nil {
		shard.ids = map[string]uint64{}
	}
	id := uint64(len(shard.list))*poolShards + n
	shard.ids[s] = id
	shard.list = append(shard.list, s)
	return id
}

// start fills an empty pool with a table, at the same positions.
func (p *pool) start(t *table) {
	for n := range t {
		shard := &p[n]
		shard.list = append([]string(nil), t[n]...)
		shard.ids = make(map[string]uint64, len(t[n]))
		for i, s := range t[n] {
			shard.ids[s] = uint64(i)*poolShards + uint64(n)
		}
	}
}

// bytes are for each shard the number of strings and their lengths, then all strings.
func (p *pool) bytes() []byte {
	var out []byte
	size := 0
	for i := range p {
		out = binary.AppendUvarint(out, uint64(len(p[i].list)))
		for _, s := range p[i].list {
			out = binary.AppendUvarint(out, uint64(len(s)))
			size += len(s)
		}
	}
	all := make([]byte, 0, len(out)+size)
	all = append(all, out...)
	for i := range p {
		for _, s := range p[i].list {
			all = append(all, s...)
		}
	}
	return all
}

// table is a pool that is only read.
type table [poolShards][]string

func (t *table) at(id uint64) (string, bool) {
	shard, i := t[id%poolShards], id/poolShards
	if i >= uint64(len(shard)) {
		return "", false
	}
	return shard[i], true
}

var errPool = errors.New("a pool is damaged")

// read takes what [pool.bytes] wrote.
func (t *table) read(data []byte) error {
	var lengths [poolShards][]uint64
	total := uint64(0)
	for i := range t {
		n, size := binary.Uvarint(data)
		if size <= 0 || n > uint64(len(data)) {
			return errPool
		}
		data = data[size:]
		lengths[i] = make([]uint64, n)
		for j := range lengths[i] {
			length, size := binary.Uvarint(data)
			if size <= 0 || length > 1<<40 {
				return errPool
			}
			data = data[size:]
			lengths[i][j] = length
			total += length
		}
	}
	if total != uint64(len(data)) {
		return errPool
	}
	text := string(data)
	for i := range t {
		t[i] = make([]string, len(lengths[i]))
		for j, n := range lengths[i] {
			t[i][j], text = text[:n], text[n:]
		}
	}
	return nil
}
