package vmtest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"n3x/internal/vm/vswitch"
)

const suiteText = `description: the bond fails over
tags: [L2, faults]
profile: bonding-vlans
overlays: [kas/base.yml, kas/test/agent.yml]
limit: 5m
machines:
  server-1: {memory: 1536, persistent: true}
  other: {node: agent-1, boot: direct, start: no}
steps:
  - {name: up, machine: all, unit: systemd-networkd.service}
  - name: one sees the other
    machine: server-1
    run: ping -c 1 ${other.cluster}
    stdout: 1 received
    within: 30s
    when: test -e /x
  - name: failover
    machine: server-1
    gap: {to: "${other.cluster}", max: 1s}
    meanwhile:
      - {machine: server-1, link: {card: eth1, up: false}}
      - {machine: server-1, run: grep -q eth2 /proc/net/bonding/bond0, within: 2s, for: 3s}
  - {machine: other, network: {card: eth1, delay: 50ms, jitter: 10ms, loss: 2.5%, rate: 10mbit}}
  - {partition: [[server-1], [other]]}
  - {machine: server-1, run: "ping -c 1 ${other.cluster}", fails: true}
  - {heal: true}
  - {machine: other, switch-vlans: {card: eth1, tagged: [100, 201], untagged: 5}}
  - {machine: other, switch-vlans: {card: eth1}}
  - {machine: other, copy: {from: data/x, to: /tmp/x}}
twins:
  - {name: no network, steps: [{machine: other, switch-port: {card: eth1, up: false}}], fails: one sees the other}
`

func TestReadSuite(t *testing.T) {
	t.Parallel()
	s, err := Read("tests/bond.yaml", []byte(suiteText))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, st := range s.Steps {
		got = append(got, st.Title()+" | "+st.Do.String())
	}
	want := []string{
		"up | systemctl is-active --quiet 'systemd-networkd.service' || { systemctl --no-pager --lines=20 status 'systemd-networkd.service'; exit 1; }",
		"one sees the other | ping -c 1 ${other.cluster}",
		"failover | no more than 1s without an answer from ${other.cluster}",
		"other: network of eth1: delay 50ms±10ms, loss 2.5 %, 10000000 bit/s | network of eth1: delay 50ms±10ms, loss 2.5 %, 10000000 bit/s",
		"partition: server-1 | other | partition: server-1 | other",
		"server-1: ping -c 1 ${other.cluster} | ping -c 1 ${other.cluster}",
		"the partition is healed | the partition is healed",
		"other: switch port of eth1 in VLANs [100 201] tagged, 5 untagged | switch port of eth1 in VLANs [100 201] tagged, 5 untagged",
		"other: switch port of eth1 in its own VLANs again | switch port of eth1 in its own VLANs again",
		"other: copy tests/data/x to /tmp/x | copy tests/data/x to /tmp/x",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if s.Name != "bond" || s.Limit != 5*time.Minute || len(s.Machines) != 2 || s.Machines[1].NodeOf() != "agent-1" || !s.Machines[1].Direct || !s.Machines[0].Persistent || s.Machines[0].Off || !s.Machines[1].Off {
		t.Errorf("%+v", s)
	}
	if when, _ := s.Steps[1].When.(*Script); when == nil || when.Text != "test -e /x" || s.Steps[0].When != nil {
		t.Error("wrong conditions")
	}
	if s.Steps[0].Within != settleLimit || s.Steps[1].Within != 30*time.Second || s.Steps[5].Within != 0 {
		t.Error("wrong limits")
	}
	if inner := s.Steps[2].Meanwhile; len(inner) != 2 || inner[1].For != 3*time.Second {
		t.Errorf("%+v", inner)
	}
	if len(s.Twins) != 1 || s.Twins[0].Fails != "one sees the other" {
		t.Errorf("%+v", s.Twins)
	}
}

func TestCardsOfSuites(t *testing.T) {
	t.Parallel()
	s, err := Read("x.yaml", []byte("machines: {a: {cards: {eth1: {tagged: [10, 20], untagged: 5}, eth2: {switch: other, untagged: 7, mac: '52:54:00:AA:00:01'}, eth3: {}}}}\nsteps: [{machine: a, file: /x}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	of := []Card{{Name: "eth1", MAC: "m", Switch: "lan", Port: vswitch.PortConfig{Access: 3}}, {Name: "eth0", Switch: "lan"}}
	want := []Card{
		{Name: "eth1", MAC: "m", Switch: "lan", Port: vswitch.PortConfig{Trunk: []int{10, 20}, Native: 5}},
		{Name: "eth0", Switch: "lan"},
		{Name: "eth2", MAC: "52:54:00:aa:00:01", Switch: "other", Port: vswitch.PortConfig{Access: 7}},
		{Name: "eth3", Switch: "lan"},
	}
	if d := cmp.Diff(want, withCards(of, s.Machines[0].Cards)); d != "" {
		t.Error(d)
	}
}

func TestBadSuites(t *testing.T) {
	t.Parallel()
	const head = "machines: {a: {}, b: {}}\nsteps:\n"
	for _, tt := range []struct{ text, want string }{
		{"machines: {a: {}}\n", `x.yaml:1:1: the suite lacks "steps"`},
		{head + "  - {machine: a}\n", "x.yaml:3:5: a step does one thing; this one has 0"},
		{head + "  - {machine: a, run: x, ping: y}\n", "this one has 2: run, ping"},
		{head + "  - {run: x}\n", "run lacks the machine where it happens"},
		{head + "  - {machine: c, run: x}\n", `x.yaml:3:5: the suite has no machine "c"`},
		{head + "  - {partition: [[a], [c]]}\n", `the suite has no machine "c"`},
		{head + "  - {machine: a, partition: [[a], [b]]}\n", "partition is for the network as a whole"},
		{head + "  - {machine: a, ping: b, stdout: x}\n", "stdout belongs to run, not to ping"},
		{head + "  - {machine: a, run: b, stdout: \"(\"}\n", `x.yaml:3:34: "(" is no regular expression`},
		{head + "  - {machine: a, run: b, status: 1, fails: true}\n", "status and fails exclude each other"},
		{head + "  - {machine: a, run: b, within: 3}\n", `within is "3"`},
		{head + "  - {machine: a, gap: {to: b, max: 1s}}\n", "gap and meanwhile belong together"},
		{head + "  - {machine: a, run: x, meanwhile: [{machine: b, run: y}]}\n", "gap and meanwhile belong together"},
		{head + "  - {machine: a, link: {card: bond0, up: true}}\n", `card is "bond0"`},
		{head + "  - {machine: a, link: {card: eth1}}\n", `link lacks "up"`},
		{head + "  - {machine: a, network: {card: eth1, delay: 1ms, jitter: 2ms}}\n", "a jitter of 2ms is more than the delay of 1ms"},
		{head + "  - {machine: a, network: {card: eth1, loss: 200%}}\n", `loss is "200%"`},
		{head + "  - {machine: a, network: {card: eth1, rate: 99999999999999gbit}}\n", "is too much"},
		{head + "  - {machine: a, switch-vlans: {card: eth1, tagged: [4095]}}\n", "tagged"},
		{head + "  - {heal: true, when: test -e /x}\n", "when is asked on a machine"},
		{head + "  - {machine: a, power: of}\n", `power is "of"`},
		{head + "  - {machine: a, run: x}\ntwins: [{name: t, steps: [{machine: a, run: y}], fails: z}]\n", `twin "t" names a step "z"`},
		{head + "  - {machine: a, name: n, run: x}\n  - {machine: a, name: m, run: x}\ntwins: [{name: t, after: m, steps: [{machine: a, run: y}], fails: n}]\n", `twin "t" breaks something after step "m", so that step "n" cannot fail`},
		{head + "  - {repeat: 3}\n", "repeat and steps belong together"},
		{head + "  - {steps: [{machine: a, run: x}]}\n", "repeat and steps belong together"},
		{head + "  - {repeat: 0, steps: [{machine: a, run: x}]}\n", "repeat is \"0\""},
		{head + "  - {repeat: 3, run: x, machine: a, steps: [{machine: a, run: x}]}\n", "repeat, steps and fresh belong together, and to no other action"},
		{head + "  - {machine: a, run: x, fresh: true}\n", "repeat, steps and fresh belong together, and to no other action"},
		{head + "  - {repeat: 3, machine: a, steps: [{machine: a, run: x}]}\n", "machine belongs to the steps that are repeated"},
		{head + "  - {repeat: 3, steps: [{machine: c, run: x}]}\n", `the suite has no machine "c"`},
		{head + "  - {repeat: 3, steps: [{repeat: 3, steps: []}]}\n", `has no key "repeat"`},
		{head + "  - {machine: a, closed: 0}\n", "closed is \"0\""},
		{head + "  - {machine: a, qmp: \"{x\"}\n", "qmp is a command's name, or "},
		{head + "  - {machine: a, qmp: Query Status}\n", `"Query Status" is no command's name`},
		{head + "  - {machine: a, screenshot: x, stdout: y}\n", "stdout belongs to run, not to screenshot"},
		{head + "  - {machine: a, run: x}\nalways: [{machine: a, power: reset}]\n", "always takes conditions of machines"},
		{head + "  - {machine: a, run: x}\nalways: [{machine: a, run: y, for: 3s}]\n", "always knows no for and no when"},
		{head + "  - {machine: a, run: x}\nalways: [{machine: c, run: y}]\n", `the suite has no machine "c"`},
		{head + "  - {machine: a, name: n, run: x}\nalways: [{name: n, machine: a, run: y}]\n", `a step is called "n", too`},
		{head + "  - {machine: a, name: n, run: x}\nalways: [{name: o, machine: a, run: y}]\ntwins: [{name: t, after: o, steps: [{machine: a, run: y}], fails: n}]\n", `twin "t": after names a step`},
		{"machines: {all: {}}\nsteps: [{machine: all, run: x}]\n", "a machine is not called all"},
		{"machines: {a: {cards: {eth1: {tagged: [0]}}}}\nsteps: []\n", "x.yaml:1:40: item 1 of machines.a.cards.eth1.tagged"},
		{"machines: {a: {cards: {eth1: {mac: '01:00:5e:00:00:01'}}}}\nsteps: []\n", `mac is "01:00:5e:00:00:01"`},
		{"machines: {a: {cards: {wan0: {}}}}\nsteps: []\n", `"wan0" in machines.a.cards is no name`},
		{"machines: {}\nsteps: [{heal: true}]\n", "x.yaml:1: the suite has no machines"},
		{"machines: {a: {}}\nsteps: []\n", "x.yaml:1: the suite has no steps"},
		{head + "  - {machine: a, run: x, name: n}\ntwins: [{name: t, steps: [{machine: a, run: y, name: n}], fails: n}]\n", `step "n" has to be the suite's`},
		{head + "  - {machine: a, run: x, name: n}\n  - {machine: a, run: y, name: n}\ntwins: [{name: t, steps: [{machine: a, run: y}], fails: n}]\n", "there are two of that name"},
		{"machines: {a: {cpu: 2}}\nsteps: []\n", `machines.a has no key "cpu"`},
	} {
		if _, err := Read("x.yaml", []byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: got %v, want %q", tt.text, err, tt.want)
		}
	}
}

func TestReadMore(t *testing.T) {
	t.Parallel()
	s, err := Read("x.yaml", []byte("machines: {a: {}}\nsteps:\n  - {name: flaps, repeat: 3, fresh: true, steps: [{machine: a, absent: /x}, {machine: a, keys: [ctrl-alt-delete, ret]}]}\n"+
		"  - {machine: a, type: \"Hi!\"}\n  - {machine: a, send: hi}\n  - {machine: a, screenshot: ../desk}\n  - {machine: a, qmp: query-status, stdout: running}\n  - {machine: a, closed: 80}\n"+
		"  - {machine: a, unit-failed: x.service}\n  - {machine: a, power: reboot}\nalways: [{name: well, machine: a, unit: y.service}]\n"+
		"twins: [{name: t, after: flaps, steps: [{machine: a, run: x}], fails: well}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, st := range slices.Concat(s.Steps, s.Always) {
		got = append(got, st.Title())
	}
	want := []string{"flaps", `a: type "Hi!"`, `a: type "hi" on the console`, "a: screenshot desk", "a: QMP query-status",
		`a: open=$(ss -Hltnp 'sport = :80') || exit 1; test -z "$open" || { echo "$open"; exit 1; }`,
		`a: test "$(systemctl show -P LoadState 'x.service')" = loaded && test "$(systemctl show -P ActiveState 'x.service')" = failed || { systemctl --no-pager --lines=20 status 'x.service'; exit 1; }`,
		"a: power reboot", "well"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	g, ok := s.Steps[0].Do.(*Group)
	if !ok || g.Times != 3 || !g.Fresh || g.String() != "3 times: a: test ! -e '/x' && test ! -L '/x'; a: press ctrl-alt-delete, ret" {
		t.Errorf("%+v", s.Steps[0].Do)
	}
}

func TestSuiteSchema(t *testing.T) {
	t.Parallel()
	var got map[string]any
	if err := json.Unmarshal(Schema(), &got); err != nil || got["title"] != "A test suite of n3x" {
		t.Errorf("%v, %v", got["title"], err)
	}
}

func FuzzReadSuite(f *testing.F) {
	f.Add([]byte(suiteText))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Read("x.yaml", data)
		if (s == nil) == (err == nil) {
			t.Fatal("neither a suite nor an error")
		}
	})
}
