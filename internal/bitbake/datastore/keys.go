package datastore

import (
	"slices"
	"strings"
)

// Keys are the names of all variables that have a value or a flag, or whose value an active override supplies, sorted.
func (d *Data) Keys() []string {
	if err := d.needOverrides(); err != nil {
		d.overrideSet = nil // whoever reads a value is told
	}
	size, hiding := 0, 0
	for l := d.top; l != nil; l = l.parent {
		size += len(l.all())
		if l.parent != nil {
			hiding += len(l.all())
		}
	}
	names := make([]string, 0, size)
	seen := make(map[string]struct{}, hiding)
	for l := d.top; l != nil; l = l.parent {
		for name, v := range l.all() {
			if _, hidden := seen[name]; hidden {
				continue
			}
			if l.parent != nil { // nothing is below the last layer
				seen[name] = struct{}{}
			}
			if d.isKey(v) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// isKey says whether a variable has something to read.
func (d *Data) isKey(v *variable) bool {
	return v.defined() || slices.ContainsFunc(v.overridden, func(o override) bool { return d.active(o.override) })
}

// dollarKeys are those of the keys that have ${ in them.
func (d *Data) dollarKeys() []string {
	var names []string
	for l := d.top; l != nil; l = l.parent {
		for _, name := range l.dollarNames(l == d.top) {
			if v := d.find(name); v != nil && d.isKey(v) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// dollarNames are the names with ${ in them among the layer's variables. written says that more variables may come.
func (l *layer) dollarNames(written bool) []string {
	if known := l.dollars.Load(); known != nil && !written {
		return *known
	}
	names := []string{}
	for name := range l.all() {
		if strings.Contains(name, "${") {
			names = append(names, name)
		}
	}
	if !written {
		l.dollars.Store(&names)
	}
	return names
}
