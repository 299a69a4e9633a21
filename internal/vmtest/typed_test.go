package vmtest

import (
	"strings"
	"testing"
	"time"
)

func TestTyped(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`run one ping -c1 "two: x" | cat`:           `one: ping -c1 "two: x" | cat`,
		"{machine: [one, two], run: uptime}":        "one, two: uptime",
		"link one card=eth1 up=false":               "one: link of eth1 down",
		"network one card=eth1 delay=20ms loss=5%":  "one: network of eth1: delay 20ms±0s, loss 5 %",
		"network one {card: eth1}":                  "one: the network of eth1 is whole again",
		"partition one | two":                       "partition: one | two",
		"heal":                                      "the partition is healed",
		"power all off":                             "all: power off",
		"console one login:":                        `one: the console shows "(?m)login:"`,
		"listens two 22":                            "two: ss -Hltn 'sport = :22' | grep -q .",
		"{machine: one, power: reset, name: Again}": "Again",
	} {
		s, err := Typed(line, []string{"one", "two"})
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if s.Title() != want {
			t.Errorf("%s is %q, not %q", line, s.Title(), want)
		}
	}
	for line, want := range map[string]string{
		"dance one":                          `no command "dance"`,
		"pign one x":                         `no command "pign"`,
		"run three true":                     `no machine "three"`,
		"power one sideways":                 "sideways",
		"run":                                "lacks the machine",
		"link one card=eth99 up=true":        "eth99",
		"{run: x}":                           "lacks the machine",
		"{machine: one":                      "",
		"listens one http":                   "",
		"{machine: one, when: true, run: x}": "for steps of suites",
	} {
		if s, err := Typed(line, []string{"one", "two"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", line, s, err)
		}
	}
	s, err := Typed("{machine: one, run: x, within: 10s}", []string{"one"})
	if err != nil || s.Within != 10*time.Second {
		t.Errorf("%v, %v", s, err)
	}
	for _, a := range Actions() {
		if ActionDoc(a) == "" {
			t.Errorf("%s says nothing", a)
		}
	}
}
