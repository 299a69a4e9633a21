package datastore

import (
	"maps"
	"slices"
	"strings"

	"n3x/internal/bitbake/syntax"
	"n3x/internal/diag"
)

// Assign carries out an assignment of a metadata file.
func (d *Data) Assign(pos diag.Pos, a *syntax.Assignment) error {
	d.At(pos, "")
	if a.Flag == "" && !a.Export && (a.Op == syntax.Set || a.Op == syntax.Default || a.Op == syntax.WeakDefault) {
		return d.once(a, a.Name, func() error { return d.assign(a) })
	}
	return d.assign(a)
}

func (d *Data) assign(a *syntax.Assignment) error {
	if a.Export {
		if err := d.setFlag(a.Name, "export", one, Event{Op: "exported", Flag: "export", Detail: "1"}); err != nil {
			return err
		}
	}
	value, op, err := d.operand(a)
	if err != nil {
		return err
	}
	e := Event{Op: op, Flag: a.Flag, Detail: a.Value}
	switch {
	case a.Op == syntax.WeakDefault:
		return d.setWeak(a.Name, a.Flag, value, e)
	case a.Flag != "":
		return d.setFlag(a.Name, a.Flag, value, e)
	}
	return d.set(a.Name, value, true, e)
}

// operand is the text to store and the name of the operation. += and its kin work on the bare value and so lose a weak default.
func (d *Data) operand(a *syntax.Assignment) (value text, op string, err error) {
	switch a.Op {
	case syntax.Set, syntax.WeakDefault:
		return str(a.Value), "set", nil
	case syntax.Immediate:
		forgetWrites := d.trial()
		s, err := d.expandAs(a.Value, a.Name+"[:=]")
		forgetWrites()
		return str(s), "immediate", err
	}
	old := d.assigned(a.Name, a.Flag)
	switch a.Op {
	case syntax.Default:
		if old.ok {
			return old, "set?", nil
		}
		return str(a.Value), "set?", nil
	case syntax.Append:
		return str(old.orEmpty() + " " + a.Value), "append", nil
	case syntax.Prepend:
		return str(a.Value + " " + old.orEmpty()), "prepend", nil
	case syntax.PostDot:
		return str(old.orEmpty() + a.Value), "postdot", nil
	}
	return str(a.Value + old.orEmpty()), "predot", nil
}

func (d *Data) assigned(name, flag string) text {
	if flag == "" {
		if v := d.find(name); v != nil {
			if v.current() {
				d.sawLive(name)
			}
			return v.value
		}
		return text{}
	}
	return d.find(name).flag(flag).get()
}

// setWeak sets the ??= default of a variable or flag. A name like X:append is taken as it is: its default never shows.
func (d *Data) setWeak(name, flagName string, value text, e Event) error {
	if err := d.refuseRenamed(name); err != nil {
		return err
	}
	v := d.own(name)
	d.touch(name)
	if flagName != "" {
		v.ownFlag(flagName, true).value = value
		e.Flag = "_defaultval_flag_" + flagName
		d.record(v, e)
		return nil
	}
	v.weak = value
	e.Flag = "_defaultval"
	d.record(v, e)
	d.linkOverrides(name)
	return nil
}

// ReplaceReference writes value for each ${name} in the variables written since the last copy, as is done for LAYERDIR.
func (d *Data) ReplaceReference(name, value string) error {
	ref := "${" + name + "}"
	keys := map[string]bool{}
	for l := d.top; l != nil && l.depth >= d.local; l = l.parent {
		for key := range l.vars {
			keys[key] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		c, _, err := d.unexpanded(key, mode{})
		if err != nil {
			return err
		}
		if !c.object && strings.Contains(c.s, ref) {
			value := strings.ReplaceAll(c.s, ref, value)
			if err := d.set(key, str(value), false, Event{Op: "set", Detail: value, Site: siteReference}); err != nil {
				return err
			}
		}
	}
	return nil
}

// ExpandKeys renames each variable whose name holds ${} to its expanded name. A warning is returned for each that replaces another.
func (d *Data) ExpandKeys() (warnings []string, err error) {
	if err := d.needOverrides(); err != nil {
		return nil, err
	}
	type rename struct{ from, to string }
	var todo []rename
	for _, key := range d.dollarKeys() {
		to, err := d.Expand(key)
		if err != nil {
			return nil, err
		}
		if to != key {
			todo = append(todo, rename{key, to})
		}
	}
	for _, r := range todo {
		newer, ok, err := d.Var(r.to, false)
		if err != nil {
			return nil, err
		}
		if older, oldOK, err := d.Var(r.from, false); err != nil {
			return nil, err
		} else if ok && oldOK {
			warnings = append(warnings, "variable key "+r.from+" ("+older+") replaces original key "+r.to+" ("+newer+")")
		}
		if err := d.RenameVar(r.from, r.to); err != nil {
			return nil, err
		}
	}
	return warnings, nil
}
