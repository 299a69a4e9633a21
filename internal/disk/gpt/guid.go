// SPDX-License-Identifier: MIT

package gpt

import (
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/google/uuid"

	"n3x/internal/diag"
)

// GUID is an identifier in the byte order of RFC 9562; on disk its first three fields are little-endian.
type GUID [16]byte

// ParseGUID reads 32 hex digits with the usual dashes, in either case.
func ParseGUID(s string) (GUID, error) {
	if len(s) != 36 {
		return GUID{}, fmt.Errorf("%q is not a GUID", s)
	}
	u, err := uuid.Parse(s)
	if err != nil {
		return GUID{}, fmt.Errorf("%q is not a GUID", s)
	}
	return GUID(u), nil
}

// String is the usual form in lower case.
func (g GUID) String() string { return uuid.UUID(g).String() }

// disk is the mixed-endian form of UEFI 2.10, appendix A.
func (g GUID) disk() []byte {
	return []byte{g[3], g[2], g[1], g[0], g[5], g[4], g[7], g[6], g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15]}
}

const nameUnits = 36

func utf16Name(s string) []uint16 { return utf16.Encode([]rune(s)) }

// normalCode is the form in which typeCodes has its keys: four lower-case hex digits.
func normalCode(s string) string {
	s = strings.TrimPrefix(strings.ToLower(s), "0x")
	return s
}

func nearestCode(key string) string {
	codes := make([]string, len(typeCodes))
	for i, row := range typeCodes {
		codes[i] = row.code
	}
	return strings.ToUpper(diag.Nearest(key, codes))
}
