// SPDX-License-Identifier: MIT

package fat

import (
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Bits of byte 12 that say that a part of a short name is to be shown in lower case.
const (
	lowerBase = 0x08
	lowerExt  = 0x10
)

func checkName(p, name string) error {
	switch {
	case !utf8.ValidString(name):
		return refuse(p, "named in bytes that are no UTF-8")
	case strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || strings.ContainsRune(`"*/:<>?\|`, r) }):
		return refuse(p, "named with one of the characters \"*:<>?\\| or a control character")
	case strings.HasSuffix(name, ".") || strings.HasSuffix(name, " "):
		return refuse(p, "named with a dot or space at the end")
	case len(utf16.Encode([]rune(name))) > 255:
		return refuse(p, "named with more than 255 characters")
	}
	return nil
}

// plainShort is name as a short name, if it is one: at most 8 and 3 characters, each part in one case.
func plainShort(name string) (short [11]byte, bits byte, exact bool) {
	base, ext, hasExt := strings.Cut(name, ".")
	if base == "" || len(base) > 8 || len(ext) > 3 || hasExt && ext == "" || strings.Contains(ext, ".") {
		return short, 0, false
	}
	for i, part := range []string{base, ext} {
		lower := part != strings.ToUpper(part)
		if lower && part != strings.ToLower(part) {
			return short, 0, false
		}
		for _, b := range []byte(part) {
			if !shortChar(upper(b)) {
				return short, 0, false
			}
		}
		if lower {
			bits |= []byte{lowerBase, lowerExt}[i]
		}
	}
	return pack(base, ext), bits, true
}

func upper(b byte) byte {
	if 'a' <= b && b <= 'z' {
		return b - 'a' + 'A'
	}
	return b
}

func shortChar(b byte) bool {
	return 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || strings.IndexByte("$%'-_@~`!(){}^#&", b) >= 0
}

func pack(base, ext string) [11]byte {
	var short [11]byte
	copy(short[:], fmt.Sprintf("%-8s%-3s", strings.ToUpper(base), strings.ToUpper(ext)))
	return short
}

// numbered is a short name for a long one with a number behind a tilde (fatgen103, "The Basis-Name Generation
// Algorithm"), unused in d.
func (d *dir) numbered(name string) [11]byte {
	base, ext := strings.TrimLeft(name, "."), ""
	if i := strings.LastIndexByte(base, '.'); i >= 0 {
		base, ext = base[:i], base[i+1:]
	}
	base, ext = reduce(base, 8), reduce(ext, 3)
	for n := 1; ; n++ {
		tail := fmt.Sprintf("~%d", n)
		short := pack(base[:min(len(base), 8-len(tail))]+tail, ext)
		if !d.short[string(short[:])] {
			return short
		}
	}
}

// reduce is what a part of a long name looks like in a short one.
func reduce(part string, limit int) string {
	var b strings.Builder
	for _, r := range part {
		switch {
		case r == ' ' || r == '.':
			continue
		case r < utf8.RuneSelf && shortChar(upper(byte(r))):
			b.WriteByte(upper(byte(r)))
		default:
			b.WriteByte('_')
		}
		if b.Len() == limit {
			break
		}
	}
	return b.String()
}
