package yaml

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"

	"n3x/internal/diag"
)

// ParseJSON reads one JSON document with positions.
func ParseJSON(name string, data []byte, warn func(diag.Pos, string)) (*Node, error) {
	data, err := cleanText(name, data)
	if err != nil {
		return nil, err
	}
	b := &jsonBuilder{file: name, data: data, dec: json.NewDecoder(bytes.NewReader(data)), warn: warn, line: 1}
	b.dec.UseNumber()
	n, err := b.value(0)
	if err != nil {
		return nil, b.wrap(err)
	}
	if _, err := b.dec.Token(); err != io.EOF {
		return nil, diag.Userf(b.pos(), "not valid JSON: text after the end of the document")
	}
	return n, nil
}

type jsonBuilder struct {
	file  string
	data  []byte
	dec   *json.Decoder
	warn  func(diag.Pos, string)
	at    int64 // offset up to which line and start are computed
	line  int
	start int64 // offset of the line's first byte
}

// pos is the place of the token that comes next.
func (b *jsonBuilder) pos() diag.Pos {
	off := b.dec.InputOffset()
	for off < int64(len(b.data)) && strings.IndexByte(" \t\r\n,:", b.data[off]) >= 0 {
		off++
	}
	return b.posAt(off)
}

func (b *jsonBuilder) posAt(off int64) diag.Pos {
	for ; b.at < off && b.at < int64(len(b.data)); b.at++ {
		if b.data[b.at] == '\n' {
			b.line++
			b.start = b.at + 1
		}
	}
	return diag.Pos{File: b.file, Line: b.line, Col: int(off-b.start) + 1}
}

func (b *jsonBuilder) wrap(err error) error {
	var de *diag.Error
	if errors.As(err, &de) {
		return err
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return diag.Userf(b.posAt(int64(len(b.data))), "not valid JSON: the document ends too early")
	}
	off := b.dec.InputOffset()
	var se *json.SyntaxError
	if errors.As(err, &se) {
		off = max(se.Offset-1, b.at)
	}
	return diag.Userf(b.posAt(off), "not valid JSON: %v", err)
}

func (b *jsonBuilder) value(depth int) (*Node, error) {
	n := &Node{Pos: b.pos()}
	if depth > maxDepth {
		return nil, diag.Userf(n.Pos, "values are nested more than %d deep", maxDepth)
	}
	tok, err := b.dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := tok.(type) {
	case json.Delim:
		if t == '{' {
			n.Value, err = b.object(depth)
		} else {
			n.Value, err = b.array(depth)
		}
		return n, err
	case json.Number:
		n.Value, err = jsonNumber(t.String())
		return n, err
	}
	n.Value = tok
	return n, nil
}

func (b *jsonBuilder) object(depth int) (*Map, error) {
	m := &Map{}
	for b.dec.More() {
		pos := b.pos()
		tok, err := b.dec.Token()
		if err != nil {
			return nil, err
		}
		key, ok := tok.(string)
		if !ok {
			return nil, diag.Userf(pos, "not valid JSON: a key is a quoted string")
		}
		v, err := b.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if m.Lookup(key) != nil && b.warn != nil {
			b.warn(pos, fmt.Sprintf("key %q is set twice; the later value counts", key))
		}
		m.Set(Entry{Key: key, KeyPos: pos, Node: v})
	}
	_, err := b.dec.Token()
	return m, err
}

func (b *jsonBuilder) array(depth int) ([]*Node, error) {
	list := []*Node{}
	for b.dec.More() {
		v, err := b.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := b.dec.Token()
	return list, err
}

func jsonNumber(s string) (any, error) {
	if !strings.ContainsAny(s, ".eE") {
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			return i, nil
		}
		if n, ok := new(big.Int).SetString(s, 10); ok {
			return n, nil
		}
	}
	return strconv.ParseFloat(s, 64)
}
