package vmtest

import (
	"time"

	"n3x/internal/vm/vswitch"
)

// conditions of a network that suites name, from the good to the bad: those of small boards on thin lines, and those of lines that lose
// frames. The rates are those of the whole frames, the delays those of one direction.
var namedConditions = []struct {
	name string
	vswitch.Condition
}{
	{"clear", vswitch.Condition{}},
	{"constrained-1", vswitch.Condition{Rate: 100e6, Delay: 5 * time.Millisecond}},
	{"constrained-2", vswitch.Condition{Rate: 100e6, Delay: 10 * time.Millisecond}},
	{"constrained-3", vswitch.Condition{Rate: 50e6, Delay: 20 * time.Millisecond}},
	{"constrained-4", vswitch.Condition{Rate: 10e6, Delay: 50 * time.Millisecond}},
	{"lossy-1", vswitch.Condition{Loss: 0.001, Delay: 5 * time.Millisecond, Jitter: 2 * time.Millisecond}},
	{"lossy-2", vswitch.Condition{Loss: 0.01, Delay: 20 * time.Millisecond, Jitter: 10 * time.Millisecond}},
	{"lossy-3", vswitch.Condition{Loss: 0.02, Delay: 50 * time.Millisecond, Jitter: 20 * time.Millisecond}},
	{"lossy-4", vswitch.Condition{Loss: 0.03, Delay: 100 * time.Millisecond, Jitter: 50 * time.Millisecond}},
}

func conditionNames() []string {
	var out []string
	for _, c := range namedConditions {
		out = append(out, c.name)
	}
	return out
}

// conditionOf is a condition by its name, which the schema has checked.
func conditionOf(name string) vswitch.Condition {
	for _, c := range namedConditions {
		if c.name == name {
			return c.Condition
		}
	}
	return vswitch.Condition{}
}
