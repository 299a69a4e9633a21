// SPDX-License-Identifier: MIT

package wks

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"n3x/internal/diag"
)

func itoa(n int) string { return strconv.Itoa(n) }

type parser struct {
	o    Options
	file *File
}

func (p *parser) warn(pos diag.Pos, format string, args ...any) {
	if p.o.Warn != nil {
		p.o.Warn(pos, fmt.Sprintf(format, args...))
	}
}

// parse reads one file; stack holds the paths that are being read, to find an include cycle.
func (p *parser) parse(path string, data []byte, stack []string) error {
	var errs []error
	for _, l := range lines(path, data) {
		if l.text == "" || strings.HasPrefix(l.text, "#") {
			continue
		}
		text, err := p.expand(l, p.o.Template && len(stack) == 0)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, one := range strings.Split(text, "\n") {
			if err := p.line(line{l.pos, one}, append(stack, path)); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// commands are the words a line can begin with.
var commands = []string{"part", "partition", "bootloader", "include"}

func (p *parser) line(l line, stack []string) error {
	words, err := Split(l.text)
	if err != nil {
		return diag.Userf(l.pos, "%w", err)
	}
	if len(words) == 0 {
		return nil
	}
	args := words[1:]
	switch words[0] {
	case "part", "partition":
		return p.part(l.pos, args)
	case "bootloader":
		return p.bootloader(l.pos, args)
	case "include":
		return p.include(l.pos, args, stack)
	}
	e := diag.Userf(l.pos, "unknown command %q", words[0])
	if near := diag.Nearest(words[0], commands); near != "" {
		return e.WithHint("did you mean %s?", near)
	}
	return e.WithHint("a kickstart line begins with part, bootloader or include")
}

func (p *parser) include(pos diag.Pos, args, stack []string) error {
	if len(args) != 1 {
		return diag.Userf(pos, "include needs exactly one file name, not %d", len(args))
	}
	if p.o.Include == nil {
		return diag.Userf(pos, "cannot include %s: no folder to look it up in", args[0])
	}
	path, data, err := p.o.Include(args[0])
	if err != nil {
		return diag.Userf(pos, "include %s: %w", args[0], err)
	}
	for _, s := range stack {
		if s == path {
			return diag.Userf(pos, "include cycle: %s", strings.Join(append(stack, path), " -> "))
		}
	}
	return p.parse(path, data, stack)
}

func (p *parser) bootloader(pos diag.Pos, args []string) error {
	b := Bootloader{Pos: pos, PTable: "msdos"}
	hasAppend := false
	opts := []option{
		{name: "--append", set: func(v string) error { b.Append, hasAppend = v, true; return nil }},
		{name: "--configfile", set: text(&b.ConfigFile)},
		{name: "--ptable", set: choice(&b.PTable, "msdos", "gpt", "gpt-hybrid")},
		{name: "--timeout", set: func(v string) error {
			n, err := strconv.Atoi(strings.TrimSpace(v))
			if err != nil {
				return fmt.Errorf("%q is not a number of seconds", v)
			}
			b.Timeout = &n
			return nil
		}},
		{name: "--source", set: text(&b.Source)},
	}
	rest, err := scan(opts, args)
	if err != nil {
		return at(pos, "bootloader", err)
	}
	if len(rest) > 0 {
		return diag.Userf(pos, "bootloader takes no argument %q", rest[0])
	}
	if old := p.file.Bootloader; old.PTable != "" {
		return diag.Userf(pos, "more than one bootloader line").WithNote("the first one is at %s", old.Pos)
	}
	if p.o.Var != nil {
		if v, ok := p.o.Var("APPEND"); ok && v != "" {
			if hasAppend && b.Append != "" {
				b.Append += " "
			}
			b.Append += v
		}
	}
	p.file.Bootloader = b
	return nil
}

// at gives err its place.
func at(pos diag.Pos, command string, err error) error {
	var de *diag.Error
	if errors.As(err, &de) && de.Pos.IsZero() {
		de.Pos = pos
		return de
	}
	return diag.Userf(pos, "%s: %w", command, err)
}
