package datastore

import (
	"errors"
	"slices"
	"strings"

	"n3x/internal/bitbake/pyeval"
	"n3x/internal/diag"
)

// content is a variable's value after overrides, appends, prepends and removes.
type content struct {
	text
	removes []string // the :remove values that hit, unexpanded; only looked for when expanding
	// expanded is the value's expansion, where it is known already because an override supplied the value.
	expanded text
}

// mode says how a variable is read.
type mode struct {
	expand  bool
	noWeak  bool // leave ??= defaults out
	parsing bool // the bare value, as assignment operators see it: no overrides, appends, prepends, removes
	plain   bool // past the variable's filter
}

// Var is the variable's value, with ${} references expanded if asked for; ok is false when it has none.
func (d *Data) Var(name string, expand bool) (value string, ok bool, err error) {
	c, err := d.read(name, mode{expand: expand})
	return c.s, c.ok, err
}

// Value is the variable's expanded value, "" when it has none.
func (d *Data) Value(name string) (string, error) {
	c, err := d.read(name, mode{expand: true})
	return c.s, err
}

// Words are the white-space separated words of the variable's expanded value.
func (d *Data) Words(name string) ([]string, error) {
	s, err := d.Value(name)
	return strings.FieldsFunc(s, IsSpace), err
}

// Assigned is the variable's bare value as the operators ?= and += see it: without weak default, overrides, appends,
// prepends and removes, unexpanded.
func (d *Data) Assigned(name string) (value string, ok bool) {
	if v := d.find(name); v != nil {
		if v.current() {
			d.sawLive(name)
		}
		return v.value.s, v.value.ok
	}
	return "", false
}

// read mirrors getVarFlag(name, "_content") of data_smart.
func (d *Data) read(name string, m mode) (content, error) {
	if d.reads != nil {
		d.reads[name] = true
	}
	if m.expand && !m.noWeak && !m.plain {
		if c, ok := d.cache[name]; ok {
			return c, nil
		}
	}
	c, v, err := d.unexpanded(name, m)
	if err == nil && v != nil && len(v.removes) > 0 && (c.object || slices.ContainsFunc(v.removes, operation.noText)) {
		err = d.checkRemoves(name, v, c.text, m)
	}
	if err != nil || !m.expand || !c.ok || c.object {
		return c, err
	}
	if c.expanded.ok {
		c.s, c.expanded = c.expanded.s, text{}
	} else if c.s, err = d.expandAs(c.s, name); err != nil {
		return content{}, err
	}
	if !m.parsing && c.s != "" {
		if c, err = d.applyRemoves(c, v); err != nil {
			return content{}, err
		}
	}
	if c.s != "" && len(d.filters) > 0 && !m.plain {
		if c.s, err = d.filter(name, c.s); err != nil {
			return content{}, err
		}
	}
	if !m.noWeak && !m.parsing {
		if d.cache == nil {
			d.cache = map[string]content{}
		}
		d.cache[name] = c
	}
	return c, nil
}

// Removes are the active :remove values, unexpanded, that take a word out of the variable's value.
func (d *Data) Removes(name string) ([]string, error) {
	if v := d.find(name); v == nil || len(v.removes)+len(v.overridden) == 0 {
		return nil, nil
	}
	c, err := d.read(name, mode{expand: true})
	return slices.Clone(c.removes), err
}

// filter passes an expanded value through the filter of its variable.
func (d *Data) filter(name, value string) (string, error) {
	base, _, _ := strings.Cut(name, ":")
	expr, ok := d.filters[base]
	if !ok {
		return value, nil
	}
	f, ok := d.eval.(Filterer)
	if !ok {
		return "", diag.Userf(d.LastSet(name), "the filter of variable %s cannot be evaluated here", base)
	}
	return f.Filter(expr, value, d, d.LastSet(name))
}

// unexpanded is the value before expansion. The removes it returns come from the override that supplied the value.
func (d *Data) unexpanded(name string, m mode) (content, *variable, error) {
	var c content
	v := d.find(name)
	if v == nil {
		return c, nil, nil
	}
	if v.current() {
		d.sawLive(name)
	}
	if len(v.overridden) > 0 && !m.parsing {
		if err := d.needOverrides(); err != nil {
			return c, nil, err
		}
		if match := d.winner(v.overridden); match != "" {
			var err error
			if c, err = d.fromOverride(match, m); err != nil {
				return c, nil, err
			}
		}
	}
	if !c.ok {
		c.text = v.value
		if !c.ok && !m.noWeak && !c.none {
			c.text = v.weak
		}
	}
	if m.parsing || len(v.appends)+len(v.prepends) == 0 {
		return c, v, nil
	}
	if err := d.needOverrides(); err != nil {
		return c, nil, err
	}
	var err error
	for _, op := range v.appends {
		if d.allActive(op.override) {
			if c.text, err = d.plus(name, c.orBlank(), op.text); err != nil {
				return c, nil, err
			}
			c.expanded = text{}
		}
	}
	for _, op := range v.prepends {
		if d.allActive(op.override) {
			if c.text, err = d.plus(name, op.text, c.orBlank()); err != nil {
				return c, nil, err
			}
			c.expanded = text{}
		}
	}
	return c, v, nil
}

// fromOverride is the unexpanded value of variable match together with those of its removes that hit it. BitBake expands it to
// find these, and so a value that cannot be expanded cannot be read here either. It remembers that expansion as the value of
// match, although no filter has seen it.
func (d *Data) fromOverride(match string, m mode) (content, error) {
	if d.reads != nil {
		d.reads[match] = true
	}
	c, v, err := d.unexpanded(match, mode{})
	filtered := len(d.filters) > 0
	if err != nil || !c.ok || c.object || c.s == "" || !filtered && len(c.removes) == 0 && len(v.removes) == 0 && !strings.Contains(c.s, "${") {
		c.removes, c.expanded = nil, text{}
		return c, err
	}
	e, err := d.read(match, mode{expand: true, plain: filtered})
	var unsupported *pyeval.Unsupported
	if err != nil && !m.expand && errors.As(err, &unsupported) {
		err = nil
	}
	c.removes, c.expanded = e.removes, text{}
	if err == nil && len(e.removes) == 0 {
		c.expanded = e.text
	}
	return c, err
}

// applyRemoves takes the words of the active removes out of an expanded value and keeps the white space around them.
func (d *Data) applyRemoves(c content, v *variable) (content, error) {
	removes := slices.Clone(c.removes)
	if len(v.removes) > 0 {
		if err := d.needOverrides(); err != nil {
			return c, err
		}
	}
	for _, op := range v.removes {
		if d.allActive(op.override) && !slices.Contains(removes, op.s) {
			removes = append(removes, op.s)
		}
	}
	c.removes = nil
	if len(removes) == 0 {
		return c, nil
	}
	sets := make([][]string, len(removes))
	for i, r := range removes {
		words, err := d.Expand(r)
		if err != nil {
			return c, err
		}
		sets[i] = strings.FieldsFunc(words, IsSpace)
	}
	var out strings.Builder
	for rest := c.s; rest != ""; {
		end := strings.IndexFunc(rest, IsSpace)
		if end < 0 {
			end = len(rest)
		}
		hit := false
		for i, set := range sets {
			if end > 0 && slices.Contains(set, rest[:end]) {
				hit = true
				if !slices.Contains(c.removes, removes[i]) {
					c.removes = append(c.removes, removes[i])
				}
			}
		}
		if !hit {
			out.WriteString(rest[:end])
		}
		rest = rest[end:]
		space := strings.IndexFunc(rest, func(r rune) bool { return !IsSpace(r) })
		if space < 0 {
			space = len(rest)
		}
		out.WriteString(rest[:space])
		rest = rest[space:]
	}
	c.s = out.String()
	return c, nil
}

// VarFlag is the value of a variable's flag, expanded if asked for; ok is false when it is not set.
func (d *Data) VarFlag(name, flag string, expand bool) (value string, ok bool, err error) {
	if flag == "_content" {
		return d.Var(name, expand)
	}
	t, err := d.readFlag(name, flag, mode{expand: expand})
	return t.s, t.ok, err
}

func (d *Data) readFlag(name, flag string, m mode) (t text, err error) {
	if d.reads != nil {
		d.reads[name] = true
	}
	v := d.find(name)
	f := v.flag(flag)
	if f == nil && !m.noWeak {
		f = v.weakFlag(flag)
	}
	t = f.get()
	if m.expand && t.ok && !t.object && strings.Contains(t.s, "${") {
		t.s, err = d.expandAs(t.s, name+"["+flag+"]")
	}
	return t, err
}

// checkRemoves refuses, as Python does, to take out what is no text, or to take something out of what is no text.
func (d *Data) checkRemoves(name string, v *variable, value text, m mode) error {
	if m.parsing || v == nil || len(v.removes) == 0 || value.orEmpty() == "" {
		return nil
	}
	if err := d.needOverrides(); err != nil {
		return err
	}
	refuse := func(kind, text string) error {
		return &pyeval.Exception{Pos: d.LastSet(name), Type: kind, Text: text}
	}
	removes := false
	for _, op := range v.removes {
		if !d.allActive(op.override) {
			continue
		}
		removes = true
		switch kind := kindOf(op.text); {
		case kind == "list" || kind == "dict" || kind == "set":
			return refuse("TypeError", "unhashable type: '"+kind+"'")
		case kind != "str" && m.expand:
			return refuse("AttributeError", "'"+kind+"' object has no attribute 'split'")
		}
	}
	switch {
	case !removes || !m.expand || !value.object:
		return nil
	case kind(value.s) == "bytes":
		return refuse("TypeError", "cannot use a string pattern on a bytes-like object")
	}
	return refuse("TypeError", "expected string or bytes-like object, got '"+kind(value.s)+"'")
}

// flag is the entry of a flag that was set, weakFlag that of a flag's default; nil when there is none.
func (v *variable) flag(name string) *flagEntry     { return v.entry(name, false) }
func (v *variable) weakFlag(name string) *flagEntry { return v.entry(name, true) }

func (v *variable) entry(name string, weak bool) *flagEntry {
	if v == nil {
		return nil
	}
	for i := range v.flags {
		if v.flags[i].name == name && v.flags[i].weak == weak {
			return &v.flags[i]
		}
	}
	return nil
}

func (f *flagEntry) get() text {
	if f == nil {
		return text{}
	}
	return f.value
}

// VarFlags are all flags of a variable, unexpanded, except BitBake's internal ones.
func (d *Data) VarFlags(name string) (map[string]string, error) {
	if d.reads != nil {
		d.reads[name] = true
	}
	v := d.find(name)
	if v == nil || len(v.flags) == 0 {
		return nil, nil
	}
	all := make(map[string]string, len(v.flags))
	for _, f := range v.flags {
		if f.value.ok && !internalFlag(f.name) && (!f.weak || v.flag(f.name) == nil) {
			all[f.name] = f.value.s
		}
	}
	return all, nil
}

// HasOverrides reports whether some NAME:override exists.
func (d *Data) HasOverrides(name string) bool {
	v := d.find(name)
	return v != nil && len(v.overridden) > 0
}

// Overrides are the active overrides, least specific first.
func (d *Data) Overrides() ([]string, error) {
	err := d.needOverrides()
	return slices.Clone(d.overrides), err
}

const maxOverrideRounds = 5

// needOverrides computes the active overrides. OVERRIDES may itself depend on overridden variables, so it is read until two
// rounds agree.
func (d *Data) needOverrides() error {
	if d.overrides != nil || d.reads != nil {
		return nil
	}
	stack := d.expanding
	d.expanding = nil
	d.reads = map[string]bool{}
	defer func() {
		d.expanding, d.reads = stack, nil
		d.forget()
	}()
	d.setOverrides("")
	var rounds []string
	for range maxOverrideRounds + 1 {
		d.forget()
		c, err := d.read("OVERRIDES", mode{expand: true})
		if err != nil {
			d.overrides = nil
			return err
		}
		rounds = append(rounds, c.s)
		if n := len(rounds); n > 1 && rounds[n-1] == rounds[n-2] {
			d.overrideDeps = d.reads
			return nil
		}
		d.setOverrides(c.s)
	}
	d.overrides = nil
	e := diag.Userf(d.LastSet("OVERRIDES"), "OVERRIDES does not settle after %d rounds of expansion", maxOverrideRounds).
		WithHint("an override decides over a variable that OVERRIDES is made of, such as MACHINE or DISTRO; set that variable without overrides")
	for _, r := range rounds {
		e = e.WithNote("%s", r)
	}
	return e
}

func (d *Data) setOverrides(s string) {
	d.overrides = strings.Split(s, ":")
	d.overrideSet = make(map[string]bool, len(d.overrides))
	for _, o := range d.overrides {
		d.overrideSet[o] = true
	}
}

// active says whether an override, or every part of a nested one, is in OVERRIDES.
func (d *Data) active(override string) bool {
	if d.overrideSet[override] {
		return true
	}
	if !strings.Contains(override, ":") {
		return false
	}
	return d.allActive(override)
}

// allActive is active for the condition of an :append, :prepend or :remove, which may be empty.
func (d *Data) allActive(override string) bool {
	if override == "" {
		return true
	}
	for o := range strings.SplitSeq(override, ":") {
		if !d.overrideSet[o] {
			return false
		}
	}
	return true
}

// winner is the variable that replaces the value, or "". Overrides are tried in order and the last hit wins; a nested one
// loses its last part to each override that equals it, and takes part again in the next round.
func (d *Data) winner(candidates []override) string {
	var active []override
	nested := false
	for _, c := range candidates {
		if !d.active(c.override) {
			continue
		}
		active = put(active, c)
		nested = nested || strings.Contains(c.override, ":")
	}
	if len(active) == 0 {
		return ""
	}
	if len(active) == 1 && !nested {
		return active[0].name
	}
	match := ""
	for again := true; again; {
		again = false
		for _, o := range d.overrides {
			for _, a := range slices.Clone(active) {
				switch {
				case strings.HasSuffix(a.override, ":"+o):
					name := active[index(active, a.override)].name
					active = drop(active, a.override)
					active = put(active, override{name: name, override: strings.ReplaceAll(a.override, ":"+o, "")})
					again = true
				case a.override == o:
					match = active[index(active, o)].name
					active = drop(active, o)
				}
			}
		}
	}
	return match
}

func index(list []override, key string) int {
	return slices.IndexFunc(list, func(o override) bool { return o.override == key })
}

// put sets the entry for o's override, keeping the place of one that is there.
func put(list []override, o override) []override {
	if i := index(list, o.override); i >= 0 {
		list[i] = o
		return list
	}
	return append(list, o)
}

func drop(list []override, key string) []override {
	i := index(list, key)
	return slices.Delete(list, i, i+1)
}
