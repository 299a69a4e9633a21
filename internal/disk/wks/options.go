// SPDX-License-Identifier: MIT

package wks

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"n3x/internal/diag"
)

// option is one option of a command. Exactly one of set, flag and many is not nil.
type option struct {
	name string
	set  func(value string) error    // takes one value
	flag func()                      // takes none
	many func(values []string) error // takes all words up to the next option, at least one
}

// scan reads args as Python's argparse does: unique abbreviations, --name value and --name=value. It returns
// the words that belong to no option.
func scan(opts []option, args []string) (rest []string, err error) {
	for i := 0; i < len(args); i++ {
		if !looksLikeOption(opts, args[i]) {
			rest = append(rest, args[i])
			continue
		}
		name, value, hasValue := strings.Cut(args[i], "=")
		o, err := find(opts, name)
		if err != nil {
			return nil, err
		}
		switch {
		case o.flag != nil && hasValue:
			return nil, diag.Userf(diag.Pos{}, "option %s takes no value, but has %q", o.name, value)
		case o.flag != nil:
			o.flag()
			continue
		case hasValue && o.many != nil:
			err = o.many([]string{value})
		case hasValue:
			err = o.set(value)
		case i+1 >= len(args) || looksLikeOption(opts, args[i+1]):
			return nil, missing(o, args[i+1:])
		case o.set != nil:
			i++
			err = o.set(args[i])
		default:
			from := i + 1
			for i+1 < len(args) && !looksLikeOption(opts, args[i+1]) {
				i++
			}
			err = o.many(args[from : i+1])
		}
		if err != nil {
			return nil, within("option "+o.name, err)
		}
	}
	return rest, nil
}

// within says where an error belongs, keeping its hint.
func within(what string, err error) error {
	e := diag.Userf(diag.Pos{}, "%s: %w", what, err)
	if inner, ok := err.(*diag.Error); ok {
		e.Hint, e.Err = inner.Hint, inner.Err
	}
	return e
}

// missing is the error for an option whose value is not there, or looks like an option.
func missing(o *option, next []string) error {
	e := diag.Userf(diag.Pos{}, "option %s needs a value", o.name)
	if len(next) > 0 && !strings.HasPrefix(next[0], "--") {
		return e.WithHint("write %s=%s: a value that begins with - must be joined to its option", o.name, next[0])
	}
	return e
}

// looksLikeOption follows argparse: a word that begins with - is an option unless it is a number, a lone dash, or
// holds white space and names no option before an equals sign.
func looksLikeOption(opts []option, word string) bool {
	if len(word) < 2 || word[0] != '-' {
		return false
	}
	if _, err := strconv.ParseFloat(word, 64); err == nil {
		return false
	}
	if !strings.ContainsAny(word, " \t\n") {
		return true
	}
	name, _, hasValue := strings.Cut(word, "=")
	if !hasValue {
		return false
	}
	_, err := find(opts, name)
	return err == nil
}

func find(opts []option, name string) (*option, error) {
	var found []string
	var names []string
	var hit *option
	for i := range opts {
		names = append(names, opts[i].name)
		if opts[i].name == name {
			return &opts[i], nil
		}
		if len(name) > 2 && strings.HasPrefix(opts[i].name, name) {
			hit, found = &opts[i], append(found, opts[i].name)
		}
	}
	switch {
	case len(found) == 1:
		return hit, nil
	case len(found) > 1:
		return nil, diag.Userf(diag.Pos{}, "option %s is ambiguous: %s", name, strings.Join(found, ", "))
	}
	e := diag.Userf(diag.Pos{}, "unknown option %s", name)
	if near := diag.Nearest(name, names); near != "" {
		return nil, e.WithHint("did you mean %s?", near)
	}
	return nil, e
}

func text(to *string) func(string) error { return func(v string) error { *to = v; return nil } }

func flag(to *bool) func() { return func() { *to = true } }

func choice(to *string, allowed ...string) func(string) error {
	return func(v string) error {
		for _, a := range allowed {
			if v == a {
				*to = v
				return nil
			}
		}
		e := diag.Userf(diag.Pos{}, "%q is none of %s", v, strings.Join(allowed, ", "))
		if near := diag.Nearest(v, allowed); near != "" {
			return e.WithHint("did you mean %s?", near)
		}
		return e
	}
}

// kib reads a size into KiB; a bare number counts in MiB.
func kib(to *int64) func(string) error {
	return func(v string) error {
		n, err := ParseSize(v, 'M', false)
		*to = n
		return err
	}
}

// ParseSize reads NUMBER[K|k|M|G], with a bare number in units of unit. The result is in KiB or, with inBytes, in bytes;
// then S and s (sectors of 512 bytes) are units too.
func ParseSize(v string, unit byte, inBytes bool) (int64, error) {
	digits := v
	if n := len(v); n > 0 && (v[n-1] < '0' || v[n-1] > '9') {
		digits, unit = v[:n-1], v[n-1]
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	shift := 0
	switch unit {
	case 'k', 'K':
	case 'M':
		shift = 10
	case 'G':
		shift = 20
	case 's', 'S':
		if !inBytes {
			return 0, sizeError(v, inBytes)
		}
		shift = -1
	default:
		return 0, sizeError(v, inBytes)
	}
	if inBytes {
		shift += 10
	}
	if err != nil || n < 0 || n > math.MaxInt64>>max(shift, 0)>>10 {
		return 0, sizeError(v, inBytes)
	}
	return n << shift, nil
}

func sizeError(v string, inBytes bool) error {
	units := "K, M or G"
	if inBytes {
		units = "S, K, M or G"
	}
	return diag.Userf(diag.Pos{}, "invalid size %q", v).WithHint("write a number and %s, e.g. 512M", units)
}

// parseFactor reads an overhead factor, at least 1.
func parseFactor(v string) (float64, error) {
	f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, fmt.Errorf("%q is not a number", v)
	}
	if f < 1 {
		return 0, fmt.Errorf("the overhead factor must be at least 1, not %s", v)
	}
	return f, nil
}
