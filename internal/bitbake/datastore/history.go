package datastore

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

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
	v.history = append(spare(v.history), d.events.share(e))
}

// events keeps one copy of each event of a statement, since thousands of recipes carry out the same statements. Events whose
// detail is computed differ anyway and are not kept.
type events struct {
	shards [16]struct {
		mu    sync.Mutex
		known map[Event]*Event
	}
}

func (s *events) share(e Event) *Event {
	if e.Function != "" || e.Pos.File == "" || e.Op == "immediate" {
		return &e
	}
	shard := &s.shards[e.Pos.Line%len(s.shards)]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if one := shard.known[e]; one != nil {
		return one
	}
	if shard.known == nil {
		shard.known = map[Event]*Event{}
	}
	one := &Event{e.Op, e.Flag, e.Detail, e.Pos, e.Function, e.Site}
	shard.known[e] = one
	return one
}

// listed are the events themselves.
func listed(history []*Event) []Event {
	if len(history) == 0 {
		return nil
	}
	out := make([]Event, len(history))
	for i, e := range history {
		out[i] = *e
	}
	return out
}

// withDetail is a history in which one event has another detail.
func withDetail(history []*Event, i int, detail string) []*Event {
	history = slices.Clone(history)
	e := *history[i]
	e.Detail = detail
	history[i] = &e
	return history
}

// History are the operations on a variable, oldest first.
func (d *Data) History(name string) []Event {
	if v := d.find(name); v != nil {
		return listed(v.history)
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
	events := listed(v.history)
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
