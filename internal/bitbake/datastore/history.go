package datastore

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"n3x/internal/diag"
)

// Event is one operation on a variable.
type Event struct {
	Op       string // as BitBake prints it: set, set?, append, immediate, :append[x], del, exported, ...
	Flag     string // the flag it was done on, or ""
	Detail   string // the operand
	Pos      diag.Pos
	Function string // the Python function that did it, or ""
}

// record adds e, with the current origin, to the history of v.
func (d *Data) record(v *variable, e Event) {
	if e.Op == "" {
		return
	}
	e.Pos, e.Function = d.origin.pos, d.origin.function
	v.history = append(v.history, e)
}

// History are the operations on a variable, oldest first.
func (d *Data) History(name string) []Event {
	if v := d.find(name); v != nil {
		return slices.Clone(v.history)
	}
	return nil
}

// FullHistory is [Data.History] followed by the operations on each NAME:override that may replace the value, as
// `bitbake -e` and `bitbake-getvar` list them.
func (d *Data) FullHistory(name string) []Event {
	v := d.find(name)
	if v == nil {
		return nil
	}
	events := slices.Clone(v.history)
	for _, o := range v.overridden {
		for _, e := range d.History(o.name) {
			if e.Flag != "" && !strings.HasPrefix(e.Flag, "_") && !strings.HasPrefix(e.Flag, ":") {
				continue
			}
			e.Op = fmt.Sprintf("override[%s]:%s", o.override, e.Op)
			events = append(events, e)
		}
	}
	return events
}

// WriteHistory writes the comment that `bitbake -e` prints above a variable; raw is its unexpanded value.
func (d *Data) WriteHistory(w io.Writer, name, raw string) error {
	events := d.FullHistory(name)
	value := strings.ReplaceAll(raw, "\n", "\n#")
	var b strings.Builder
	switch len(events) {
	case 0:
		fmt.Fprintf(&b, "#\n# $%s\n#   [no history recorded]\n#\n#   \"%s\"\n", name, value)
	case 1:
		fmt.Fprintf(&b, "#\n# $%s\n", name)
	default:
		fmt.Fprintf(&b, "#\n# $%s [%d operations]\n", name, len(events))
	}
	for _, e := range events {
		file, function, flag := e.Pos.File, "", ""
		if e.Function != "" {
			file, function = file[strings.LastIndexByte(file, '/')+1:], " ["+e.Function+"]"
		}
		if e.Flag != "" {
			flag = "[" + e.Flag + "] "
		}
		fmt.Fprintf(&b, "#   %s %s:%d%s\n#     %s\"%s\"\n", e.Op, file, e.Pos.Line, function, flag, strings.ReplaceAll(e.Detail, "\n", "\n#     "))
	}
	if len(events) > 1 {
		fmt.Fprintf(&b, "# pre-expansion value:\n#   \"%s\"\n", value)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
