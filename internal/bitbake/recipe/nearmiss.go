package recipe

import (
	"slices"
	"strings"

	"n3x/internal/bitbake/syntax"
	"n3x/internal/diag"
)

// BitBake takes a name that nothing has without a word: a task after which another shall run, a preference for a recipe, a task's
// flag. Where it is one slip away from a name that something has, n3x says so.

// mention is a task that addtask or deltask names.
type mention struct {
	task string
	pos  diag.Pos
}

// mentionTasks takes note of the names in an addtask or deltask statement, to be looked at when all tasks are known. Classes
// may name tasks of other classes that are not in use, so only what recipes say counts.
func (e *evaluator) mentionTasks(pos diag.Pos, names string) {
	if strings.HasSuffix(pos.File, ".bbclass") {
		return
	}
	for _, name := range strings.FieldsFunc(names, isSpace) {
		if !strings.Contains(name, "${") {
			if !strings.HasPrefix(name, "do_") {
				name = "do_" + name
			}
			e.state.mentions = append(e.state.mentions, mention{name, pos})
		}
	}
}

// unknownTasks are the mentions of tasks that the recipe does not have.
func (v *variant) unknownTasks() []mention {
	tasks := v.d.Tasks()
	return slices.DeleteFunc(v.state.mentions, func(m mention) bool { return slices.Contains(tasks, m.task) })
}

func (w *World) mention(list []mention) {
	w.mentionsMu.Lock()
	defer w.mentionsMu.Unlock()
	if w.mentions == nil {
		w.mentions = map[mention]bool{}
	}
	for _, m := range list {
		w.mentions[m] = true
	}
}

// slip is the one of names that name is a slip of: at most two characters differ, and not digits only.
func slip(name string, names []string) string {
	var likely []string // to measure all distances takes long
	for _, n := range names {
		if d := len(n) - len(name); -2 <= d && d <= 2 {
			likely = append(likely, n)
		}
	}
	near := diag.Nearest(name, likely)
	plain := func(s string) string {
		return strings.Map(func(r rune) rune {
			if '0' <= r && r <= '9' {
				return -1
			}
			return r
		}, s)
	}
	if near == "" || diag.Distance(name, near) > 2 || plain(name) == plain(near) {
		return ""
	}
	return near
}

// late warns about what shows when all recipes are known.
func (w *World) late(mc string, pos diag.Pos, text string) {
	m := message{text: text, pos: pos}
	w.configs[mc].late = append(w.configs[mc].late, m)
	w.loader.replay([]message{m})
}

// remarkTasks warns about mentions of tasks that no recipe has.
func (w *World) remarkTasks() {
	known := map[string]bool{}
	var names []string
	for _, c := range w.configs {
		for _, r := range c.all() {
			for _, t := range r.Tasks {
				if !known[t.Name] {
					known[t.Name] = true
					names = append(names, t.Name)
				}
			}
		}
	}
	slices.Sort(names)
	for m := range w.mentions {
		if known[m.task] {
			continue
		}
		if near := slip(m.task, names); near != "" {
			w.late("", m.pos, "no recipe has a task "+m.task+"; did you mean "+near+"?")
		}
	}
}

// remarkPreferences warns about preferences for what no recipe provides.
func (w *World) remarkPreferences(mc string, c *config) {
	var names []string
	index := c.providers()
	for _, kind := range []map[string][]*Recipe{index.build, index.runtime, index.names, index.skipped} {
		for name := range kind {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for _, key := range c.base.d.Keys() {
		for _, prefix := range []string{"PREFERRED_PROVIDER_", "PREFERRED_RPROVIDER_", "PREFERRED_VERSION_", "REQUIRED_VERSION_"} {
			of, ok := strings.CutPrefix(key, prefix)
			of, _, _ = strings.Cut(of, ":")
			if _, found := slices.BinarySearch(names, of); !ok || found || strings.Contains(of, "${") {
				continue
			}
			near := slip(of, names)
			if _, taken, err := c.base.d.Var(prefix+near, false); near == "" || taken || err != nil {
				continue // that one has a preference of its own, so this is about another
			}
			w.late(mc, c.base.d.LastSet(key), "no recipe provides "+of+", which "+key+" is about; did you mean "+prefix+near+"?")
		}
	}
}

// taskFlags are the flags that BitBake knows of tasks.
var taskFlags = []string{
	"cleandirs", "depends", "deps", "deptask", "dirs", "doc", "export_func", "fakeroot", "file-checksums", "filename", "func", "lineno",
	"lockfiles", "mcdepends", "network", "noexec", "nostamp", "number_threads", "postfuncs", "prefuncs", "progress", "python", "rdepends",
	"rdeptask", "recideptask", "recrdeptask", "stamp-extra-info", "task", "umask", "unexport", "export", "vardeps", "vardepsexclude",
	"vardepvalue", "vardepvalueexclude", "weight",
}

// remarkFlag warns about a task's flag that is a slip of one that means something.
func (e *evaluator) remarkFlag(pos diag.Pos, a *syntax.Assignment) {
	if !strings.HasPrefix(a.Name, "do_") || slices.Contains(taskFlags, a.Flag) {
		return
	}
	found, ok := e.flagSlips.Load(a.Flag)
	if !ok {
		found, _ = e.flagSlips.LoadOrStore(a.Flag, slip(a.Flag, taskFlags))
	}
	if near := found.(string); near != "" {
		e.warn(pos, a.Name+"["+a.Flag+"] means nothing to BitBake; did you mean "+a.Name+"["+near+"]?")
	}
}
