package taskgraph

import (
	"maps"
	"slices"
	"strings"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/diag"
)

// entry is a variable, function or "variable[flag]" as signatures see it.
type entry struct {
	text   string   // before expansion
	digest string   // of that
	deps   []string // what it leads to directly, sorted
}

// entry is computed once for each recipe.
func (s *signer) entry(name string) (*entry, error) {
	if e := s.known[name]; e != nil {
		return e, nil
	}
	v := &reading{s: s, name: name, deps: map[string]bool{}}
	read := v.variable
	if strings.HasSuffix(name, "]") {
		read = v.flag
	}
	if err := read(); err != nil {
		return nil, err
	}
	e := &entry{text: v.text, digest: digest(v.text)}
	for _, dep := range slices.Sorted(maps.Keys(v.deps)) {
		if !s.ignored[dep] {
			e.deps = append(e.deps, dep)
		}
	}
	s.known[name] = e
	return e, nil
}

// reading finds out what one variable consists of.
type reading struct {
	s        *signer
	name     string
	flags    map[string]string
	excluded []string // [vardepsexclude]
	text     string
	deps     map[string]bool
	called   map[string]bool // functions that code of the last expansion called
}

// flag reads a "variable[flag]".
func (v *reading) flag() error {
	name, flag, _ := strings.Cut(strings.TrimSuffix(v.name, "]"), "[")
	if flag == "vardepvalueexclude" {
		return nil
	}
	text, _, err := v.s.d.VarFlag(name, flag, false)
	if err != nil {
		return err
	}
	trace, err := v.s.d.Trace(text, v.name)
	if err != nil {
		return err
	}
	v.text = v.s.places.replace(text)
	v.refer(trace)
	return nil
}

// variable reads a variable or function with what its flags say about its dependencies.
func (v *reading) variable() error {
	var err error
	if v.flags, err = v.s.d.VarFlags(v.name); err != nil {
		return err
	}
	if v.excluded, err = v.words("vardepsexclude"); err != nil {
		return err
	}
	fixed, isFixed := v.flags["vardepvalue"]
	switch {
	case isFixed:
		v.text, err = v.s.d.Expand(fixed)
	case v.flags["func"] != "":
		err = v.function()
	default:
		err = v.value()
	}
	if err != nil {
		return err
	}
	for cut := range strings.SplitSeq(v.flags["vardepvalueexclude"], "|") {
		if cut != "" {
			v.text = strings.ReplaceAll(v.text, cut, "")
		}
	}
	for f := range v.flags {
		if v.s.flagCounts(f) {
			v.deps[v.name+"["+f+"]"] = true
		}
	}
	if err := v.add("vardeps"); err != nil {
		return err
	}
	for _, dep := range v.excluded {
		delete(v.deps, dep)
	}
	return nil
}

// flagCounts reports whether a flag makes a difference, as all do that the list of those left out does not have.
func (s *signer) flagCounts(flag string) bool {
	switch {
	case s.flagList == "":
		return false
	case s.loose:
		return !strings.Contains(s.flagList, flag)
	}
	return len(s.noFlags) > 0 && !slices.Contains(s.noFlags, flag)
}

func (v *reading) words(flag string) ([]string, error) {
	if v.flags[flag] == "" {
		return nil, nil
	}
	text, _, err := v.s.d.VarFlag(v.name, flag, true)
	return strings.FieldsFunc(text, datastore.IsSpace), err
}

// add makes the words of a flag dependencies.
func (v *reading) add(flag string) error {
	words, err := v.words(flag)
	for _, w := range words {
		v.deps[w] = true
	}
	return err
}

// value reads a plain variable.
func (v *reading) value() error {
	text, trace, err := v.expand(v.s.d)
	if err != nil {
		return err
	}
	v.text = v.s.places.replace(text)
	return v.took(trace, v.refer(trace))
}

// function reads a shell or python function.
func (v *reading) function() error {
	if v.flags["python"] != "" {
		text, _, err := v.s.forced.Var(v.name, false)
		if err != nil {
			return err
		}
		v.text = text
		if err := v.contains(v.use(v.s.code.python(text))); err != nil {
			return err
		}
	} else if err := v.shell(); err != nil {
		return err
	}
	for _, flag := range []string{"prefuncs", "postfuncs", "exports"} {
		if err := v.add(flag); err != nil {
			return err
		}
	}
	return nil
}

func (v *reading) shell() error {
	text, trace, err := v.expand(v.s.forced)
	if err != nil {
		return err
	}
	v.text = text
	for _, name := range v.s.exports {
		v.deps[name] = true
	}
	for _, name := range v.s.code.shell(trace.Text) {
		v.call(name)
	}
	return v.took(trace, v.refer(trace))
}

func (v *reading) expand(d *datastore.Data) (string, datastore.Expansion, error) {
	text, _, err := d.Var(v.name, false)
	if err != nil || !strings.Contains(text, "${") {
		return text, datastore.Expansion{Text: text}, err
	}
	trace, err := d.Trace(text, v.name)
	return text, trace, err
}

// took ends the reading of a text that was expanded: the outcome of its questions and its :remove values count.
func (v *reading) took(trace datastore.Expansion, asked map[string][]string) error {
	if err := v.contains(asked); err != nil {
		return err
	}
	if trace.Text == "" {
		return nil
	}
	removes, err := v.s.d.Removes(v.name)
	if err != nil {
		return err
	}
	slices.Sort(removes)
	for i, r := range removes {
		trace, err := v.s.d.Trace(r, "")
		if err != nil {
			return err
		}
		v.text += "\n_remove of " + v.s.places.replace(r)
		// Of what these texts lead to, BitBake only keeps the variables that the first one names and its code reads.
		deps := maps.Clone(v.deps)
		asked := v.refer(trace)
		if i > 0 {
			v.deps = deps
		} else {
			maps.DeleteFunc(v.deps, func(name string, _ bool) bool { return !deps[name] && v.called[name] })
		}
		if err := v.contains(asked); err != nil {
			return err
		}
	}
	return nil
}

// refer makes what an expansion read dependencies. It returns what was only asked for single words.
func (v *reading) refer(trace datastore.Expansion) map[string][]string {
	clear(v.called)
	for _, r := range trace.References {
		v.deps[r] = true
	}
	var all map[string][]string
	for _, p := range trace.Python {
		for name, words := range v.use(v.s.code.expression(p)) {
			if all == nil {
				all = map[string][]string{}
			}
			all[name] = append(all[name], words...)
		}
	}
	return all
}

// use makes what Python code reads and calls dependencies, but for what it only asks for single words.
func (v *reading) use(u *uses) map[string][]string {
	for _, r := range u.reads {
		v.deps[r] = true
	}
	for _, c := range u.calls {
		v.call(c)
	}
	return u.asks
}

// call makes a function that is called a dependency, when it is one of the metadata's.
func (v *reading) call(name string) {
	if v.deps[name] || strings.HasPrefix(name, "__") {
		return
	}
	if v.s.keys[name] {
		if v.called == nil {
			v.called = map[string]bool{}
		}
		v.called[name] = true
		v.deps[name] = true
	}
}

// contains lets the answers of bb.utils.contains and its kin count instead of the whole variable that was asked.
func (v *reading) contains(asked map[string][]string) error {
	for _, name := range slices.Sorted(maps.Keys(asked)) {
		if v.s.ignored[name] || slices.Contains(v.excluded, name) {
			continue
		}
		has, err := v.s.d.Words(name)
		if err != nil {
			return err
		}
		items := slices.Compact(slices.Sorted(slices.Values(asked[name])))
		for _, item := range items {
			state := "Set"
			for _, word := range strings.FieldsFunc(item, datastore.IsSpace) {
				if !slices.Contains(has, word) {
					state = "Unset"
				}
			}
			v.text += "\n" + name + "{" + item + "} = " + state
		}
	}
	return nil
}

// exports are the variables that the environment of shell functions holds.
func exports(d *datastore.Data, names []string) ([]string, error) {
	var out []string
	for _, name := range names {
		on, err := isTrue(d, name, "export")
		if err != nil || !on {
			if err != nil {
				return nil, err
			}
			continue
		}
		off, err := isTrue(d, name, "unexport")
		if err != nil {
			return nil, err
		}
		if !off {
			out = append(out, name)
		}
	}
	return out, nil
}

// isTrue reads a flag as BitBake reads booleans.
func isTrue(d *datastore.Data, name, flag string) (bool, error) {
	v, _, err := d.VarFlag(name, flag, true)
	switch strings.ToLower(v) {
	case "", "0", "n", "no", "false":
		return false, err
	case "1", "y", "yes", "true":
		return true, err
	}
	return false, diag.Userf(d.LastSet(name), "%s[%s] = %q is neither true nor false", name, flag, v).WithHint("write \"1\" or \"0\"")
}
