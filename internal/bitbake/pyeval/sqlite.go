// SPDX-License-Identifier: MIT

package pyeval

import (
	"bytes"
	"encoding/binary"
	"errors"
)

var errDatabase = errors.New("not a database of the known form")

// sqliteTable reads a table with two columns of text from an SQLite database (file format 3, all pages in the file): what
// bb.persist_data writes. A table that does not exist is empty.
func sqliteTable(file []byte, table string) (map[string]string, error) {
	if len(file) < 100 || !bytes.HasPrefix(file, []byte("SQLite format 3\x00")) || binary.BigEndian.Uint32(file[56:]) > 1 {
		return nil, errDatabase
	}
	size := int(binary.BigEndian.Uint16(file[16:]))
	if size == 1 {
		size = 1 << 16
	}
	if size < 512 || file[20] != 0 {
		return nil, errDatabase
	}
	db := &database{file: file, size: size}
	root := 0
	err := db.rows(1, 0, func(record []any) error {
		if len(record) == 5 && record[0] == "table" && record[1] == table {
			n, _ := record[3].(int64)
			root = int(n)
		}
		return nil
	})
	out := map[string]string{}
	if err != nil || root == 0 {
		return out, err
	}
	return out, db.rows(root, 0, func(record []any) error {
		if len(record) != 2 {
			return errDatabase
		}
		key, ok1 := record[0].(string)
		value, ok2 := record[1].(string)
		if !ok1 || !ok2 {
			return errDatabase
		}
		out[key] = value
		return nil
	})
}

type database struct {
	file []byte
	size int // of a page
}

// rows visits the records of a table's tree.
func (db *database) rows(page, depth int, visit func([]any) error) error {
	start := (page - 1) * db.size
	if page < 1 || start+db.size > len(db.file) || depth > 20 {
		return errDatabase
	}
	data, header := db.file[start:start+db.size], 0
	if page == 1 {
		header = 100
	}
	kind, cells, pointers := data[header], int(binary.BigEndian.Uint16(data[header+3:])), header+8
	if kind == 5 {
		pointers = header + 12
	}
	if kind != 5 && kind != 13 || pointers+2*cells > db.size {
		return errDatabase
	}
	for i := range cells {
		at := int(binary.BigEndian.Uint16(data[pointers+2*i:]))
		if at+4 > db.size {
			return errDatabase
		}
		var err error
		if kind == 5 {
			err = db.rows(int(binary.BigEndian.Uint32(data[at:])), depth+1, visit)
		} else {
			err = db.cell(data[at:], visit)
		}
		if err != nil {
			return err
		}
	}
	if kind == 5 {
		return db.rows(int(binary.BigEndian.Uint32(data[header+8:])), depth+1, visit)
	}
	return nil
}

// cell visits one record, which must fit into its page.
func (db *database) cell(data []byte, visit func([]any) error) error {
	length, n := varint(data)
	_, m := varint(data[min(n, len(data)):])
	if n == 0 || m == 0 || length > int64(db.size-35) || n+m+int(length) > len(data) {
		return errDatabase
	}
	record := data[n+m : n+m+int(length)]
	header, n := varint(record)
	if n == 0 || header > int64(len(record)) {
		return errDatabase
	}
	var values []any
	types, body := record[n:header], record[header:]
	for len(types) > 0 {
		kind, n := varint(types)
		if n == 0 {
			return errDatabase
		}
		types = types[n:]
		value, size, ok := column(kind, body)
		if !ok {
			return errDatabase
		}
		values, body = append(values, value), body[size:]
	}
	return visit(values)
}

// column is a value of one of SQLite's types: an int64, a string or nil.
func column(kind int64, body []byte) (value any, size int, ok bool) {
	switch {
	case kind >= 13 && kind%2 == 1:
		size = int(kind-13) / 2
		if size > len(body) {
			return nil, 0, false
		}
		return string(body[:size]), size, true
	case kind >= 1 && kind <= 4:
		size = int(kind)
		if size > len(body) {
			return nil, 0, false
		}
		n := int64(int8(body[0]))
		for _, b := range body[1:size] {
			n = n<<8 | int64(b)
		}
		return n, size, true
	case kind == 8 || kind == 9:
		return kind - 8, 0, true
	}
	return nil, 0, kind == 0
}

// varint reads an integer of up to nine bytes, the highest bit of each but the last says that another follows.
func varint(b []byte) (v int64, n int) {
	for n < len(b) && n < 8 {
		v = v<<7 | int64(b[n]&0x7f)
		n++
		if b[n-1] < 0x80 {
			return v, n
		}
	}
	return 0, 0
}
