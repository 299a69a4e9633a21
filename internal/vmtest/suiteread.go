package vmtest

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"n3x/internal/diag"
	"n3x/internal/vm/vswitch"
	"n3x/internal/yaml"
	"n3x/internal/yaml/schema"
)

// suiteLimit is how long a suite may take when it does not say, on machines with KVM.
const suiteLimit = 20 * time.Minute

// settleLimit is how long what a machine does by itself, such as starting a unit, is waited for when a step does not say.
const settleLimit = 60 * time.Second

// Read reads and checks a suite. file is its name in messages, and names the suite. All errors are told, in the file's order.
func Read(file string, data []byte) (*Suite, error) {
	var warned []error
	root, err := yaml.Parse(file, data, func(pos diag.Pos, message string) { warned = append(warned, diag.Userf(pos, "%s", message)) })
	if err == nil {
		err = errors.Join(warned...)
	}
	if err != nil {
		return nil, err
	}
	if err := suiteRule.Check(root, "the suite"); err != nil {
		return nil, err
	}
	r := &suiteReader{}
	s := r.suite(file, root)
	s.check(r)
	if err := errors.Join(r.errs...); err != nil {
		return nil, err
	}
	return s, nil
}

// suiteReader turns checked values into steps, and collects what the schema cannot see.
type suiteReader struct{ errs []error }

func (r *suiteReader) fail(pos diag.Pos, format string, args ...any) {
	r.errs = append(r.errs, diag.Userf(pos, format, args...))
}

func (r *suiteReader) suite(file string, root *yaml.Node) *Suite {
	s := &Suite{
		Pos: diag.Pos{File: file, Line: 1}, Name: strings.TrimSuffix(strings.TrimSuffix(filepath.Base(file), ".yaml"), ".yml"),
		Description: word(root.Lookup("description")), Tags: words(root.Lookup("tags")), Profile: word(root.Lookup("profile")),
		Overlays: words(root.Lookup("overlays")), Needs: words(root.Lookup("needs")), Limit: span(root.Lookup("limit")),
		Capture: truth(root.Lookup("capture")), Drops: words(root.Lookup("drops")),
		Services: r.services(root), Steps: r.steps(root.Lookup("steps")), Always: r.always(root.Lookup("always")),
	}
	if s.Limit == 0 {
		s.Limit = suiteLimit
	}
	for _, e := range root.Lookup("machines").Map().Entries() {
		n := e.Node
		s.Machines = append(s.Machines, MachineDef{
			Pos: e.KeyPos, Name: e.Key, Node: word(n.Lookup("node")), Overlays: words(n.Lookup("overlays")), Image: word(n.Lookup("image")),
			Direct: word(n.Lookup("boot")) == "direct", CPUs: int(whole(n.Lookup("cpus"))), Memory: int(whole(n.Lookup("memory"))), Persistent: truth(n.Lookup("persistent")),
			Off: n.Lookup("start") != nil && !truth(n.Lookup("start")), Cards: cardsOf(n.Lookup("cards")),
		})
	}
	for _, n := range root.Lookup("twins").List() {
		s.Twins = append(s.Twins, &Twin{Pos: n.Pos, Name: word(n.Lookup("name")), After: word(n.Lookup("after")), Steps: r.steps(n.Lookup("steps")), Fails: word(n.Lookup("fails"))})
	}
	return s
}

func (r *suiteReader) steps(n *yaml.Node) []*Step {
	var out []*Step
	for _, item := range n.List() {
		s := &Step{Pos: item.Pos, Name: word(item.Lookup("name")), On: words(item.Lookup("machine")), Within: span(item.Lookup("within")), For: span(item.Lookup("for"))}
		if when := item.Lookup("when"); when != nil {
			s.When = &Script{Text: word(when)}
			if len(s.On) == 0 {
				r.fail(when.Pos, "when is asked on a machine, and the step has none")
			}
		}
		s.Meanwhile = r.steps(item.Lookup("meanwhile"))
		r.action(s, item)
		out = append(out, s)
	}
	return out
}

// always are conditions: what changes nothing, and can be asked for at any time.
func (r *suiteReader) always(n *yaml.Node) []*Step {
	out := r.steps(n)
	for _, s := range out {
		if _, ok := s.Do.(*Script); !ok && s.Do != nil {
			r.fail(s.Pos, "always takes conditions of machines, such as run, unit or ping; this is none")
		}
		if s.For != 0 || s.When != nil {
			r.fail(s.Pos, "always knows no for and no when: its conditions must hold all the time")
		}
	}
	return out
}

// group reads a step that repeats others.
func (r *suiteReader) group(s *Step, item *yaml.Node) {
	g := &Group{Times: int(whole(item.Lookup("repeat"))), Steps: r.steps(item.Lookup("steps")), Fresh: truth(item.Lookup("fresh"))}
	s.Do = g
	if g.Times == 0 || len(g.Steps) == 0 {
		r.fail(item.Pos, "repeat and steps belong together")
	}
	for _, key := range []string{"machine", "when", "within", "for", "status", "fails", "stdout", "not", "meanwhile"} {
		if n := item.Lookup(key); n != nil {
			r.fail(n.Pos, "%s belongs to the steps that are repeated", key)
		}
	}
}

// action finds the one thing that a step does.
func (r *suiteReader) action(s *Step, item *yaml.Node) {
	var names []string
	for i := 0; i < len(actionRules); i += 2 {
		if name, _ := actionRules[i].(string); item.Lookup(name) != nil {
			names = append(names, name)
		}
	}
	if group := item.Lookup("repeat") != nil || item.Lookup("steps") != nil; group && len(names) == 0 {
		r.group(s, item)
		return
	} else if group || item.Lookup("fresh") != nil {
		r.fail(item.Pos, "repeat, steps and fresh belong together, and to no other action")
		return
	}
	if len(names) != 1 {
		r.fail(item.Pos, "a step does one thing; this one has %d: %s", len(names), strings.Join(names, ", "))
		return
	}
	name, n := names[0], item.Lookup(names[0])
	s.Do = r.make(name, n, item)
	_, script := s.Do.(*Script)
	for _, key := range []string{"status", "fails", "stdout", "not"} {
		if item.Lookup(key) != nil && (!script || name != "run") && (key != "stdout" || name != "qmp") {
			r.fail(item.Lookup(key).Pos, "%s belongs to run, not to %s", key, name)
		}
	}
	_, gap := s.Do.(*Gap)
	if (s.Meanwhile != nil) != gap {
		r.fail(item.Pos, "gap and meanwhile belong together")
	}
	whole := false
	switch s.Do.(type) {
	case *Partition, *Serve:
		whole = true
	}
	if whole == (len(s.On) > 0) {
		if whole {
			r.fail(item.Pos, "%s is for the network as a whole: it takes no machine", name)
		} else {
			r.fail(item.Pos, "%s lacks the machine where it happens", name)
		}
	}
	if s.Within == 0 && script && name != "run" || name == "console" && s.Within == 0 {
		s.Within = settleLimit
	}
}

func (r *suiteReader) make(name string, n, item *yaml.Node) Action {
	card := word(n.Lookup("card"))
	switch name {
	case "run":
		return r.script(n, item)
	case "unit":
		u := quote(word(n))
		return &Script{Text: fmt.Sprintf("systemctl is-active --quiet %s || { systemctl --no-pager --lines=20 status %s; exit 1; }", u, u)}
	case "listens":
		return &Script{Text: fmt.Sprintf("ss -Hltn 'sport = :%d' | grep -q .", whole(n))}
	case "closed":
		return &Script{Text: fmt.Sprintf("open=$(ss -Hltnp 'sport = :%d') || exit 1; test -z \"$open\" || { echo \"$open\"; exit 1; }", whole(n))}
	case "unit-failed", "unit-inactive":
		u, want := quote(word(n)), strings.TrimPrefix(name, "unit-")
		return &Script{Text: fmt.Sprintf("test \"$(systemctl show -P LoadState %s)\" = loaded && test \"$(systemctl show -P ActiveState %s)\" = %s || { systemctl --no-pager --lines=20 status %s; exit 1; }", u, u, want, u)}
	case "file":
		return &Script{Text: "test -e " + quote(word(n))}
	case "absent":
		f := quote(word(n))
		return &Script{Text: fmt.Sprintf("test ! -e %s && test ! -L %s", f, f)}
	case "keys":
		return &Keys{words(n)}
	case "type":
		return &Typing{Text: word(n)}
	case "send":
		return &Typing{Text: word(n), Serial: true}
	case "screenshot":
		return &Shot{filepath.Base(word(n))}
	case "qmp":
		q, err := readQMP(word(n))
		if err != nil {
			r.fail(n.Pos, "qmp is a command's name, or {\"execute\": NAME, \"arguments\": {...}}: %v", err)
		}
		q.Answer = r.pattern(item.Lookup("stdout"))
		return q
	case "ping":
		return &Script{Text: "ping -c 3 -i 0.3 -W 2 " + word(n)}
	case "console":
		return &Console{r.pattern(n)}
	case "power":
		return &Power{word(n)}
	case "link":
		return &Link{card, truth(n.Lookup("up"))}
	case "switch-port":
		return &Port{card, truth(n.Lookup("up"))}
	case "switch-vlans":
		p := &PortVLANs{Card: card, Untagged: int(whole(n.Lookup("untagged")))}
		for _, id := range n.Lookup("tagged").List() {
			p.Tagged = append(p.Tagged, int(whole(id)))
		}
		return p
	case "network":
		return r.impair(card, n)
	case "partition":
		p := &Partition{}
		for _, g := range n.List() {
			p.Groups = append(p.Groups, words(g))
		}
		return p
	case "service":
		return r.serve(n)
	case "heal":
		return &Partition{}
	case "copy":
		from := word(n.Lookup("from"))
		if !filepath.IsAbs(from) {
			from = filepath.Join(filepath.Dir(n.Pos.File), from)
		}
		return &CopyIn{from, word(n.Lookup("to"))}
	case "keep":
		return &CopyOut{word(n.Lookup("from")), filepath.Base(word(n.Lookup("as")))}
	default:
		return &Gap{word(n.Lookup("to")), span(n.Lookup("max"))}
	}
}

func (r *suiteReader) script(n, item *yaml.Node) *Script {
	s := &Script{Text: word(n), Fails: truth(item.Lookup("fails")), Stdout: r.pattern(item.Lookup("stdout")), Not: r.pattern(item.Lookup("not"))}
	if st := item.Lookup("status"); st != nil {
		status := int(whole(st))
		s.Status = &status
		if s.Fails {
			r.fail(st.Pos, "status and fails exclude each other")
		}
	}
	return s
}

func (r *suiteReader) impair(card string, n *yaml.Node) *Impair {
	if name := n.Lookup("profile"); name != nil {
		if len(n.Map().Entries()) > 2 {
			r.fail(n.Pos, "a network has either a profile or a condition of its own")
		}
		return &Impair{Card: card, Condition: conditionOf(word(name))}
	}
	i := &Impair{Card: card, Condition: vswitch.Condition{Delay: span(n.Lookup("delay")), Jitter: span(n.Lookup("jitter")), Loss: part(n.Lookup("loss")), Duplicate: part(n.Lookup("duplicate"))}}
	if text := word(n.Lookup("rate")); text != "" {
		number := strings.TrimRight(text, "kmgbit")
		v, err := strconv.ParseInt(number, 10, 64)
		factor := map[string]int64{"bit": 1, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9}[text[len(number):]]
		if err != nil || v > 1e12/factor {
			r.fail(n.Lookup("rate").Pos, "%s is too much", text)
		}
		i.Rate = v * factor
	}
	if i.Jitter > i.Delay {
		r.fail(n.Pos, "a jitter of %s is more than the delay of %s", i.Jitter, i.Delay)
	}
	return i
}

func (r *suiteReader) pattern(n *yaml.Node) *regexp.Regexp {
	if n == nil {
		return nil
	}
	re, err := regexp.Compile("(?m)" + word(n))
	if err != nil {
		r.fail(n.Pos, "%q is no regular expression: %v", word(n), err)
		return regexp.MustCompile("")
	}
	return re
}

// check looks at what names refer to.
func (s *Suite) check(r *suiteReader) {
	machines := map[string]bool{"all": true}
	if len(s.Machines) == 0 {
		r.fail(s.Pos, "the suite has no machines")
	}
	if len(s.Steps) == 0 {
		r.fail(s.Pos, "the suite has no steps, and so nothing that could fail")
	}
	for _, m := range s.Machines {
		if m.Name == "all" {
			r.fail(m.Pos, "a machine is not called all, which means all of them")
		}
		machines[m.Name] = true
	}
	servers := map[string]bool{}
	for _, d := range s.Services {
		if machines[d.Name] {
			r.fail(d.Pos, "%s is a machine already", d.Name)
		}
		servers[d.Name] = true
	}
	titles, twice := map[string]bool{}, map[string]bool{}
	for _, st := range s.Steps {
		twice[st.Name] = titles[st.Name] && st.Name != ""
		titles[st.Name] = true
	}
	for _, st := range s.Always {
		if titles[st.Name] && st.Name != "" {
			r.fail(st.Pos, "a step is called %q, too", st.Name)
		}
		titles[st.Name] = true
	}
	all := slices.Concat(s.Steps, s.Always)
	for _, t := range s.Twins {
		all = append(all[:len(all):len(all)], t.Steps...)
		for _, name := range []string{t.Fails, t.After} {
			if name != "" && !titles[name] {
				r.fail(t.Pos, "twin %q names a step %q, which the suite does not have", t.Name, name)
			}
			if twice[name] {
				r.fail(t.Pos, "twin %q names a step %q, and there are two of that name", t.Name, name)
			}
		}
		if slices.ContainsFunc(s.Always, func(st *Step) bool { return t.After != "" && st.Name == t.After }) {
			r.fail(t.Pos, "twin %q: after names a step, and %q is a condition that always holds", t.Name, t.After)
		}
		named := func(st *Step) bool { return st.Name == t.Fails }
		if slices.ContainsFunc(t.Steps, named) {
			r.fail(t.Pos, "twin %q: step %q has to be the suite's, not one of what breaks it", t.Name, t.Fails)
		}
		if !slices.ContainsFunc(s.Always, named) && slices.IndexFunc(s.Steps, named) < t.at(s) {
			r.fail(t.Pos, "twin %q breaks something after step %q, so that step %q cannot fail because of it", t.Name, t.After, t.Fails)
		}
	}
	checkMachines(r, s, all, machines, servers)
}

// checkMachines looks for what steps name. Servers of a profile are not known yet.
func checkMachines(r *suiteReader, s *Suite, steps []*Step, machines, servers map[string]bool) {
	server := func(name string) bool {
		return servers[name] || s.Profile != "" && strings.HasPrefix(name, "dhcp-")
	}
	for _, st := range steps {
		for _, name := range st.On {
			if !machines[name] {
				r.fail(st.Pos, "the suite has no machine %q", name)
			}
		}
		switch do := st.Do.(type) {
		case *Group:
			checkMachines(r, s, do.Steps, machines, servers)
		case *Partition:
			for _, name := range slices.Concat(do.Groups...) {
				if !machines[name] && !server(name) {
					r.fail(st.Pos, "the suite has no machine %q", name)
				}
			}
		case *Serve:
			if !server(do.Name) {
				r.fail(st.Pos, "the suite has no service %q", do.Name)
			}
			for who := range do.Reserve {
				if !machines[who] && !hardware.MatchString(who) {
					r.fail(st.Pos, "the suite has no machine %q", who)
				}
			}
		}
		checkMachines(r, s, st.Meanwhile, machines, servers)
	}
}

// quote makes a word for the shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func word(n *yaml.Node) string {
	s, _ := schema.TextOf(n)
	return s
}

func words(n *yaml.Node) []string {
	if n == nil {
		return nil
	}
	if n.List() == nil {
		return []string{word(n)}
	}
	var out []string
	for _, item := range n.List() {
		out = append(out, word(item))
	}
	return out
}

func whole(n *yaml.Node) int64 {
	if n == nil {
		return 0
	}
	v, _ := n.Value.(int64)
	return v
}

func truth(n *yaml.Node) bool {
	if n == nil {
		return false
	}
	v, _ := n.Value.(bool)
	return v
}

// span is a duration, whose form has been checked; 0 is none.
func span(n *yaml.Node) time.Duration {
	d, _ := time.ParseDuration(word(n))
	return d
}

// part is a percentage as a probability.
func part(n *yaml.Node) float64 {
	v, _ := strconv.ParseFloat(strings.TrimSuffix(word(n), "%"), 64)
	return v / 100
}
