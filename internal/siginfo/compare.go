package siginfo

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const maxDepth = 50 // tasks from the one asked about to the root cause

// Compare explains what of b is not as in a, line by line, in BitBake's words. Changes in tasks that they depend on are
// followed to their causes, each once, indented below.
func Compare(a, b *Record) ([]string, error) {
	c := &comparison{seen: map[string]bool{}}
	err := c.compare(a, b, "", 0)
	return c.out, err
}

type comparison struct {
	out  []string
	seen map[string]bool
}

func (c *comparison) say(indent, format string, args ...any) {
	for line := range strings.SplitSeq(strings.TrimRight(fmt.Sprintf(format, args...), "\n"), "\n") {
		c.out = append(c.out, indent+line)
	}
}

func (c *comparison) compare(a, b *Record, indent string, depth int) error {
	if err := c.own(a, b, indent); err != nil {
		return err
	}
	return c.tasks(a, b, indent, depth)
}

// own compares all but the tasks that are depended on.
func (c *comparison) own(a, b *Record, indent string) error {
	if err := c.variables(a, b, indent); err != nil {
		return err
	}
	c.files(a, b, indent)
	if a.NoStamp != b.NoStamp {
		c.say(indent, "[nostamp] changed from %v to %v", a.NoStamp, b.NoStamp)
	}
	if a.Taint != b.Taint {
		c.say(indent, "Taint (by forced/invalidated task) changed from %s to %s", cmp.Or(a.Taint, "None"), cmp.Or(b.Taint, "None"))
	}
	return nil
}

func (c *comparison) variables(a, b *Record, indent string) error {
	for _, name := range slices.Sorted(maps.Keys(b.Variables)) {
		if _, ok := a.Variables[name]; !ok {
			c.say(indent, "Dependency on variable %s was added", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.Variables)) {
		digest, ok := b.Variables[name]
		switch {
		case !ok:
			c.say(indent, "Dependency on Variable %s was removed", name)
		case digest != a.Variables[name]:
			before, err := a.Value(name)
			if err != nil {
				return err
			}
			after, err := b.Value(name)
			if err != nil {
				return err
			}
			c.value(indent, name, before, after)
		}
	}
	return nil
}

func (c *comparison) value(indent, name, before, after string) {
	if before != "" && after != "" && strings.Contains(before+after, "\n") {
		c.say(indent, "Variable %s value changed:", name)
		for _, line := range Diff(before, after) {
			c.out = append(c.out, indent+line)
		}
		return
	}
	c.say(indent, "Variable %s value changed from '%s' to '%s'", name, before, after)
}

func (c *comparison) files(a, b *Record, indent string) {
	before, after := map[string][]string{}, map[string][]string{}
	for _, f := range a.Files {
		before[f.Name] = append(before[f.Name], f.Digest)
	}
	for _, f := range b.Files {
		after[f.Name] = append(after[f.Name], f.Digest)
	}
	all := maps.Clone(before)
	maps.Copy(all, after)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		switch old, now := before[name], after[name]; {
		case len(old) == 0:
			c.say(indent, "Dependency on checksum of file %s was added", name)
		case len(now) == 0:
			c.say(indent, "Dependency on checksum of file %s was removed", name)
		case !slices.Equal(old, now):
			c.say(indent, "Checksum for file %s changed from %s to %s", name, strings.Join(old, " "), strings.Join(now, " "))
		}
	}
}

func (c *comparison) tasks(a, b *Record, indent string, depth int) error {
	before := map[string]Needed{}
	for _, n := range a.Tasks {
		before[n.Name] = n
	}
	for _, n := range b.Tasks {
		old, ok := before[n.Name]
		delete(before, n.Name)
		switch {
		case !ok:
			c.say(indent, "Dependency on task %s was added with hash %s", n.Name, n.Signature)
		case old.Signature != n.Signature:
			c.say(indent, "Hash for task dependency %s changed from %s to %s", n.Name, old.Signature, n.Signature)
			if err := c.follow(a.needed(old), b.needed(n), indent+"  ", depth); err != nil {
				return err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		c.say(indent, "Dependency on task %s was removed with hash %s", name, before[name].Signature)
	}
	return nil
}

// follow explains the change of a task that another depends on.
func (c *comparison) follow(a, b *Record, indent string, depth int) error {
	switch {
	case a == nil || b == nil:
		c.say(indent, "what it was made of is not stored")
		return nil
	case c.seen[b.path]:
		c.say(indent, "see above")
		return nil
	case depth >= maxDepth:
		return nil
	}
	c.seen[b.path] = true
	return c.compare(a, b, indent, depth+1)
}

// Dump shows all of a record.
func Dump(r *Record) ([]string, error) {
	out := []string{"Task: " + r.Name(), "Recipe: " + r.File}
	names := slices.Sorted(maps.Keys(r.Variables))
	out = append(out, "Task dependencies: "+strings.Join(slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == r.Task }), " "))
	for _, name := range names {
		value, err := r.Value(name)
		if err != nil {
			return nil, err
		}
		out = append(out, "Variable "+name+" value is "+value)
	}
	for _, f := range r.Files {
		out = append(out, "This task depends on the checksum of file "+f.Name+": "+f.Digest)
	}
	for _, t := range r.Tasks {
		out = append(out, "Hash for dependent task "+t.Name+" is "+t.Signature)
	}
	if r.NoStamp {
		out = append(out, "Tainted (by [nostamp]): runs every time")
	}
	if r.Taint != "" {
		out = append(out, "Tainted (by forced/invalidated task): "+r.Taint)
	}
	return append(out, "Computed task hash is "+r.Signature), nil
}
