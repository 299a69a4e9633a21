package datastore

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"n3x/internal/diag"
)

// Event is one operation on a variable.
type Event struct {
	Op       string   // as BitBake prints it: set, set?, append, immediate, :append[x], del, exported, ...
	Flag     string   // the flag it was done on, or ""
	Detail   string   // the operand
	Pos      diag.Pos // the statement of a file
	Function string   // the Python function that did it, or ""; inline Python says "Var <NAME>:1 [<module>]"
	Site     Site     // BitBake's own code that did it, or 0
}

// place is where an event of a file or of its Python code came from, as BitBake prints it.
func (e Event) place() string {
	switch {
	case e.Function == "":
		return e.Pos.File + ":" + strconv.Itoa(e.Pos.Line)
	case strings.HasSuffix(e.Function, "[<module>]"):
		return e.Function
	}
	return e.Pos.File[strings.LastIndexByte(e.Pos.File, '/')+1:] + ":" + strconv.Itoa(e.Pos.Line) + " [" + e.Function + "]"
}

// record adds e, with the current origin, to the history of v.
func (d *Data) record(v *variable, e Event) {
	if e.Op == "" {
		return
	}
	if e.Pos = d.origin.pos; e.Site == 0 {
		e.Function, e.Site = d.origin.function, d.origin.site
	}
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
			if e.Flag != "" && !internalFlag(e.Flag) {
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
		flag := ""
		if e.Flag != "" {
			flag = "[" + e.Flag + "] "
		}
		fmt.Fprintf(&b, "#   %s %s\n#     %s\"%s\"\n", e.Op, d.where(e), flag, strings.ReplaceAll(e.Detail, "\n", "\n#     "))
	}
	if len(events) > 1 {
		fmt.Fprintf(&b, "# pre-expansion value:\n#   \"%s\"\n", value)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
