// SPDX-License-Identifier: MIT

package pyeval

import (
	"slices"
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"
)

// splitArgs are the separator ("" = white space) and the limit (-1 = none) of split and rsplit.
func splitArgs(a args) (sep string, limit int, err error) {
	v, err := a.bind("sep?", "maxsplit?")
	if err != nil {
		return "", 0, err
	}
	if limit, err = a.wantInt(v[1], -1); err != nil || isNone(v[0]) {
		return "", limit, err
	}
	if sep, err = a.wantStr(v[0]); err == nil && sep == "" {
		err = raise(valueError, "empty separator")
	}
	return sep, limit, err
}

func strSplit(_ *run, s string, a args) (starlark.Value, error) {
	sep, limit, err := splitArgs(a)
	if err != nil {
		return nil, err
	}
	if sep == "" {
		return texts(splitSpace(s, limit)), nil
	}
	if limit >= 0 {
		limit++
	}
	return texts(strings.SplitN(s, sep, limit)), nil
}

// splitSpace splits at runs of white space; the rest after limit words keeps its inner space and
// its end, but not its beginning.
func splitSpace(s string, limit int) []string {
	var out []string
	for {
		s = strings.TrimLeftFunc(s, isSpace)
		if s == "" {
			return out
		}
		if limit >= 0 && len(out) == limit {
			return append(out, s)
		}
		n := strings.IndexFunc(s, isSpace)
		if n < 0 {
			return append(out, s)
		}
		out = append(out, s[:n])
		s = s[n:]
	}
}

func strRsplit(_ *run, s string, a args) (starlark.Value, error) {
	sep, limit, err := splitArgs(a)
	if err != nil {
		return nil, err
	}
	var out []string
	for {
		if sep == "" {
			s = strings.TrimRightFunc(s, isSpace)
			if s == "" {
				break
			}
		}
		from, to := strings.LastIndex(s, sep), 0
		if sep == "" {
			from = strings.LastIndexFunc(s, isSpace)
		}
		if from < 0 || limit >= 0 && len(out) == limit {
			out = append(out, s)
			break
		}
		to = from + len(sep)
		if sep == "" {
			_, n := utf8.DecodeRuneInString(s[from:])
			to = from + n
		}
		out = append(out, s[to:])
		s = s[:from]
	}
	slices.Reverse(out)
	return texts(out), nil
}

// isLineEnd is what splitlines splits at.
func isLineEnd(c rune) bool {
	switch c {
	case '\n', '\r', '\v', '\f', 0x1c, 0x1d, 0x1e, 0x85, 0x2028, 0x2029:
		return true
	}
	return false
}

func strSplitlines(_ *run, s string, a args) (starlark.Value, error) {
	v, err := a.bind("keepends?")
	if err != nil {
		return nil, err
	}
	keep := v[0] != nil && bool(v[0].Truth())
	var out []string
	for s != "" {
		n := strings.IndexFunc(s, isLineEnd)
		if n < 0 {
			out = append(out, s)
			break
		}
		_, size := utf8.DecodeRuneInString(s[n:])
		if strings.HasPrefix(s[n:], "\r\n") {
			size = 2
		}
		if keep {
			out = append(out, s[:n+size])
		} else {
			out = append(out, s[:n])
		}
		s = s[n+size:]
	}
	return texts(out), nil
}

// separator is the argument of partition and rpartition.
func separator(a args) (string, error) {
	if err := a.exactly(1); err != nil {
		return "", err
	}
	sep, err := a.wantStr(a.pos[0])
	if err == nil && sep == "" {
		err = raise(valueError, "empty separator")
	}
	return sep, err
}

func strPartition(_ *run, s string, a args) (starlark.Value, error) {
	sep, err := separator(a)
	if err != nil {
		return nil, err
	}
	if head, tail, ok := strings.Cut(s, sep); ok {
		return starlark.Tuple{text(head), text(sep), text(tail)}, nil
	}
	return starlark.Tuple{text(s), text(""), text("")}, nil
}

func strRpartition(_ *run, s string, a args) (starlark.Value, error) {
	sep, err := separator(a)
	if err != nil {
		return nil, err
	}
	if n := strings.LastIndex(s, sep); n >= 0 {
		return starlark.Tuple{text(s[:n]), text(sep), text(s[n+len(sep):])}, nil
	}
	return starlark.Tuple{text(""), text(""), text(s)}, nil
}
