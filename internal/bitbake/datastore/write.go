package datastore

import (
	"maps"
	"slices"
	"strings"

	"n3x/internal/bitbake/pyeval"
	"n3x/internal/diag"
)

// SetVar sets a variable as Python's d.setVar does: appends, prepends, removes and active overrides of it are dropped.
// A name like X:append:y adds an operation instead.
func (d *Data) SetVar(name, value string) error {
	return d.set(name, str(value), false, Event{Op: "set", Detail: value})
}

// set stores a value; parsing leaves overrides and operations of the variable alone, as assignments in files do.
func (d *Data) set(name string, value text, parsing bool, e Event) error {
	if err := d.refuseName(name); err != nil {
		return err
	}
	if base, keyword, condition, ok := operationName(name); ok {
		d.addOperation(base, keyword, operation{text: value, override: condition}, e)
		return nil
	}
	if !parsing {
		if err := d.dropOperations(name); err != nil {
			return err
		}
	}
	v := d.own(name)
	d.touch(name)
	d.linkOverrides(name)
	v.value, v.live = value, v.live.replaced()
	d.record(v, e)
	return nil
}

// SetNone takes a variable's value away as Python's d.setVar(name, None) does: unlike after [Data.DelVar] its flags stay, it is
// still among the keys, and a default by ??= does not show.
func (d *Data) SetNone(name string) error {
	return d.SetObject(name, "", "None")
}

// InheritVar sets a variable from the environment, exported or not.
func (d *Data) InheritVar(name, value string, export bool) error {
	if err := d.set(name, str(value), false, Event{Op: "from env", Detail: value, Site: SiteEnvironment}); err != nil || !export {
		return err
	}
	return d.setFlag(name, "export", literal("True"), Event{Op: "auto env export", Flag: "export", Detail: "True", Site: SiteExported})
}

// SetVarFilter makes the expanded values of a variable, and of its overrides, pass through a Python expression; "" ends that.
func (d *Data) SetVarFilter(name, expr string) error {
	filters := maps.Clone(d.filters)
	if filters == nil {
		filters = map[string]string{}
	}
	filters[name] = expr
	if expr == "" {
		delete(filters, name)
	}
	d.filters = filters
	d.touch(name)
	return nil
}

// dropOperations forgets what would still change the value of name after it has been set.
func (d *Data) dropOperations(name string) error {
	v := d.find(name)
	if v == nil {
		return nil
	}
	if len(v.overridden) > 0 {
		if err := d.needOverrides(); err != nil {
			return err
		}
		for _, o := range slices.Clone(v.overridden) {
			if d.active(o.override) {
				d.delete(o.name, Event{Op: "del", Site: siteSetVarDel})
			}
		}
	}
	v = d.own(name)
	v.appends, v.prepends, v.removes, v.overridden = nil, nil, nil, nil
	return nil
}

// operationName splits X:append, X:prepend:cond and the like; a condition holds no upper-case letter.
func operationName(name string) (base, keyword, condition string, ok bool) {
	for i := 0; i < len(name); i++ {
		if name[i] != ':' {
			continue
		}
		for _, kw := range []string{"append", "prepend", "remove"} {
			rest, found := strings.CutPrefix(name[i+1:], kw)
			if !found {
				continue
			}
			if rest == "" {
				return name[:i], kw, "", true
			}
			if rest[0] == ':' && !strings.ContainsFunc(rest, func(r rune) bool { return 'A' <= r && r <= 'Z' }) {
				return name[:i], kw, rest[1:], true
			}
		}
	}
	return "", "", "", false
}

func (d *Data) addOperation(base, keyword string, op operation, e Event) {
	v := d.own(base)
	d.touch(base)
	switch keyword {
	case "append":
		v.appends = append(v.appends, op)
	case "prepend":
		v.prepends = append(v.prepends, op)
	case "remove":
		v.removes = append(v.removes, op)
	}
	if e.Op == "" {
		d.linkOverrides(base)
		return
	}
	e.Op, e.Detail = ":"+keyword, op.detail()
	if op.override != "" {
		e.Op += "[" + op.override + "]"
	}
	d.record(v, e)
	d.linkOverrides(base)
}

// linkOverrides registers name with the variables it may replace. Only what starts with a lower-case letter or a digit is an override.
func (d *Data) linkOverrides(name string) {
	for _, o := range overridesOf(name) {
		if v := d.find(o.short); v == nil || !slices.Contains(v.overridden, o.override) {
			v = d.own(o.short)
			v.overridden, v.alone = append(spare(v.overridden), o.override), true
		}
	}
}

// spare makes room for one more item, and less for further ones than append would: stores hold thousands of short lists.
func spare[T any](list []T) []T {
	if len(list) < cap(list) {
		return list
	}
	return append(make([]T, 0, len(list)+len(list)/4+1), list...)
}

// shortened is one way to read a name as a variable and its override.
type shortened struct {
	short string
	override
}

// overridesOf reads A:x:y as A:x with y and as A with x:y.
func overridesOf(name string) []shortened {
	var all []shortened
	for end := strings.LastIndexByte(name, ':'); end >= 0; end = strings.LastIndexByte(name[:end], ':') {
		o := name[end+1:]
		if o == "" || !overrideStart(o[0]) || end == 0 && len(all) > 0 {
			break
		}
		all = append(all, shortened{name[:end], override{name, o}})
	}
	return all
}

func overrideStart(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

// unlinkOverrides undoes linkOverrides.
func (d *Data) unlinkOverrides(name string) {
	for _, o := range overridesOf(name) {
		if v := d.find(o.short); v != nil && slices.Contains(v.overridden, o.override) {
			v = d.own(o.short)
			if !v.alone {
				v.overridden, v.alone = slices.Clone(v.overridden), true
			}
			v.overridden = slices.DeleteFunc(v.overridden, func(x override) bool { return x == o.override })
		}
	}
}

// refuseName refuses the override syntax of before 2021 and variables that were renamed.
func (d *Data) refuseName(name string) error {
	if !strings.HasPrefix(name, "__anon_") {
		for _, op := range []string{"_append", "_prepend", "_remove"} {
			if strings.Contains(name, op) {
				return diag.Userf(d.origin.pos, "variable %s contains an operation using the old override syntax", name).
					WithHint("write %s, and colons before other overrides too (this changed in BitBake 1.52, 2021)",
						strings.ReplaceAll(name, op, ":"+op[1:]))
			}
		}
	}
	return d.refuseRenamed(name)
}

func (d *Data) refuseRenamed(name string) error {
	short, _, _ := strings.Cut(name, ":")
	replacement, ok := d.renamed[short]
	switch {
	case !ok:
		return nil
	case strings.Contains(replacement, " "):
		return diag.Userf(d.origin.pos, "variable %s %s", short, replacement)
	}
	return diag.Userf(d.origin.pos, "variable %s has been renamed to %s", short, replacement).
		WithHint("write %s instead of %s", replacement, short)
}

// renamedVariables are the names that BitBake itself no longer knows; metadata adds to them by BB_RENAMED_VARIABLES[OLD].
func renamedVariables() map[string]string {
	const dropped = "is a deprecated variable and support has been removed"
	return map[string]string{
		"BB_ENV_WHITELIST":              "BB_ENV_PASSTHROUGH",
		"BB_ENV_EXTRAWHITE":             "BB_ENV_PASSTHROUGH_ADDITIONS",
		"BB_HASHBASE_WHITELIST":         "BB_BASEHASH_IGNORE_VARS",
		"BB_HASHCONFIG_WHITELIST":       "BB_HASHCONFIG_IGNORE_VARS",
		"BB_HASHTASK_WHITELIST":         "BB_TASKHASH_IGNORE_TASKS",
		"BB_SETSCENE_ENFORCE_WHITELIST": "BB_SETSCENE_ENFORCE_IGNORE_TASKS",
		"MULTI_PROVIDER_WHITELIST":      "BB_MULTI_PROVIDER_ALLOWED",
		"BB_STAMP_WHITELIST":            dropped,
		"BB_STAMP_POLICY":               dropped,
	}
}

// AppendVar adds an unconditional :append.
func (d *Data) AppendVar(name, value string) error {
	d.record(d.own(name), Event{Op: "append", Detail: value})
	return d.set(name+":append", str(value), true, Event{})
}

// PrependVar adds an unconditional :prepend.
func (d *Data) PrependVar(name, value string) error {
	d.record(d.own(name), Event{Op: "prepend", Detail: value})
	return d.set(name+":prepend", str(value), true, Event{})
}

// DelVar removes a variable with its flags, operations and overrides.
func (d *Data) DelVar(name string) error {
	d.delete(name, Event{Op: "del"})
	return nil
}

func (d *Data) delete(name string, e Event) {
	d.touch(name)
	old := d.own(name)
	v := &variable{history: old.history, live: old.live.replaced()}
	d.top.vars[name] = v
	d.record(v, e)
	d.unlinkOverrides(name)
}

// RenameVar moves a variable's value, operations and overrides to another name; its flags are lost, as in BitBake.
func (d *Data) RenameVar(from, to string) error { return d.rename(from, to, 0) }

func (d *Data) rename(from, to string, at Site) error {
	if from == to {
		return nil
	}
	var old variable
	if v := d.find(from); v != nil {
		old = *v
		if v.live != nil {
			d.sawLive(from)
		}
	}
	value := old.value
	if !value.ok && !value.none {
		value = old.weak
	}
	if !d.old && !value.ok && len(old.overridden)+len(old.appends)+len(old.prepends)+len(old.removes) == 0 {
		return nil
	}
	if value.ok {
		n := d.own(to)
		n.history = append(n.history, old.history...)
		d.record(n, Event{Op: "rename from " + from, Detail: value.s, Site: at})
		if err := d.set(to, value, true, Event{}); err != nil {
			return err
		}
	}
	if err := d.moveOperations(&old, from, to); err != nil {
		return err
	}
	if !value.ok {
		d.linkOverrides(to)
	}
	d.record(d.own(from), Event{Op: "rename (to)", Detail: to, Site: at})
	d.delete(from, Event{})
	return nil
}

// moveOperations gives what was appended to, and what overrides, a variable to another.
func (d *Data) moveOperations(old *variable, from, to string) error {
	d.touch(to)
	if len(old.appends)+len(old.prepends)+len(old.removes) > 0 {
		n := d.own(to)
		n.appends = append(n.appends, old.appends...)
		n.prepends = append(n.prepends, old.prepends...)
		n.removes = append(n.removes, old.removes...)
	}
	if len(old.overridden) == 0 {
		return nil
	}
	d.own(to).overridden = nil
	for _, o := range slices.Clone(old.overridden) {
		moved := override{name: strings.ReplaceAll(o.name, from, to), override: o.override}
		n := d.own(to)
		n.overridden = append(n.overridden, moved)
		if err := d.rename(o.name, moved.name, siteRename); err != nil {
			return err
		}
	}
	return nil
}

// SetVarFlag sets a variable's flag.
func (d *Data) SetVarFlag(name, flag, value string) error {
	return d.setFlag(name, flag, str(value), Event{Op: "set", Flag: flag, Detail: value})
}

// SetVarFlags sets several flags, which no history shows.
func (d *Data) SetVarFlags(name string, flags []pyeval.Flag) error {
	for _, f := range flags {
		if f.Name == "_content" {
			continue
		}
		if err := d.setFlag(name, f.Name, text{s: f.Text, ok: f.Set, object: f.Object, none: !f.Set}, Event{}); err != nil {
			return err
		}
	}
	return nil
}

func (d *Data) setFlag(name, flagName string, value text, e Event) error {
	if name == "BB_RENAMED_VARIABLES" {
		renamed := make(map[string]string, len(d.renamed)+1)
		for k, v := range d.renamed {
			renamed[k] = v
		}
		renamed[flagName] = value.s
		d.renamed = renamed
	}
	if err := d.refuseRenamed(name); err != nil {
		return err
	}
	v := d.own(name)
	d.touch(name)
	switch flagName {
	case contentFlag:
		v.value = value
	case defaultFlag:
		v.weak = value
	default:
		v.ownFlag(flagName, false).value = value
	}
	d.record(v, e)
	return nil
}

// The names under which BitBake keeps a variable's value and its ??= default among the flags.
const (
	contentFlag = "_content"
	defaultFlag = "_defaultval"
)

func (v *variable) ownFlag(name string, weak bool) *flagEntry {
	if f := v.entry(name, weak); f != nil {
		return f
	}
	v.flags = append(spare(v.flags), flagEntry{name: name, weak: weak})
	return &v.flags[len(v.flags)-1]
}

// AppendVarFlag adds to the end of a flag.
func (d *Data) AppendVarFlag(name, flag, value string) error {
	return d.joinFlag(name, flag, "append", value, func(old text) (text, error) { return d.plus(name, old, str(value)) })
}

// PrependVarFlag adds to the start of a flag.
func (d *Data) PrependVarFlag(name, flag, value string) error {
	return d.joinFlag(name, flag, "prepend", value, func(old text) (text, error) { return d.plus(name, str(value), old) })
}

func (d *Data) joinFlag(name, flag, op, value string, join func(text) (text, error)) error {
	old, err := d.readFlag(name, flag, mode{})
	if err != nil {
		return err
	}
	if old.orEmpty() == "" {
		old = str("")
	}
	joined, err := join(old)
	if err != nil {
		return err
	}
	return d.setFlag(name, flag, joined, Event{Op: op, Flag: flag, Detail: value})
}

// DelVarFlag removes a flag.
func (d *Data) DelVarFlag(name, flag string) error {
	if d.find(name).flag(flag) == nil {
		return nil
	}
	v := d.own(name)
	d.touch(name)
	v.flags = slices.DeleteFunc(v.flags, func(one flagEntry) bool { return one.name == flag })
	d.record(v, Event{Op: "delFlag", Flag: flag})
	return nil
}
