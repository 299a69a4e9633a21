package vmtest

import (
	"regexp"
	"strings"

	"n3x/internal/vm/vswitch"
	"n3x/internal/yaml/schema"
)

var (
	duration = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?(ms|s|m|h)$`)
	percent  = regexp.MustCompile(`^([0-9]|[1-9][0-9]|100)(\.[0-9]+)?%$`)
	bitRate  = regexp.MustCompile(`^[1-9][0-9]*(k|m|g)?bit$`)
	cardName = regexp.MustCompile(`^eth([0-9]|1[0-5])$`)
	machine  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

func durations(doc string) *schema.Rule {
	return schema.Matching(doc, duration, "a number with ms, s, m or h, for machines with KVM; others get more")
}

func cards() *schema.Rule { return schema.Matching("the network card", cardName, "eth0 to eth15") }

// dropNames are the reasons that a suite can expect.
func dropNames() []string {
	var out []string
	for r := range vswitch.Reasons() {
		out = append(out, dropName(r))
	}
	return out
}

func dropName(r vswitch.Reason) string {
	return strings.ReplaceAll(strings.ToLower(r.String()), " ", "-")
}

// actionRules are the things that a step can do, of which it has exactly one.
var actionRules = []any{
	"run", schema.A(schema.Text, "a script for the machine's /bin/sh; ${machine.network} is an address"),
	"unit", schema.A(schema.Text, "a systemd unit that must be active"),
	"listens", schema.Numbers("a TCP port that something must listen on", 1, 65535),
	"closed", schema.Numbers("a TCP port that nothing must listen on", 1, 65535),
	"unit-failed", schema.A(schema.Text, "a systemd unit that must have failed"),
	"unit-inactive", schema.A(schema.Text, "a systemd unit that must be known and inactive"),
	"file", schema.A(schema.Text, "a file that must exist"),
	"absent", schema.A(schema.Text, "a file that must not exist"),
	"console", schema.A(schema.Text, "a regular expression that the console must show"),
	"ping", schema.A(schema.Text, "an address, or ${machine.network}, that must answer"),
	"power", schema.Words("switches the machine", powers...),
	"keys", schema.A(schema.Texts, "keys to press at once, e.g. ctrl-alt-delete, by QEMU's names; several one after the other"),
	"type", schema.A(schema.Text, "a text to type on the keyboard"),
	"send", schema.A(schema.Text, "a text to type on the serial console"),
	"screenshot", schema.A(schema.Text, "keeps a picture of the screen with the results, by this name"),
	"qmp", schema.A(schema.Text, "a command for QEMU: its name, or all of it as JSON"),
	"link", schema.Keys("pulls a network card's cable out, or puts it back", []string{"card", "up"}, "card", cards(), "up", schema.A(schema.Truth, "whether it is in")),
	"switch-port", schema.Keys("takes the switch's port at a network card down, which the machine does not see", []string{"card", "up"}, "card", cards(), "up", schema.A(schema.Truth, "whether it carries frames")),
	"switch-vlans", schema.Keys("puts the switch's port at a network card into other VLANs; the card alone puts it back where it was", []string{"card"}, "card", cards(),
		"tagged", schema.ListOf("VLANs whose frames are tagged", schema.Numbers("a VLAN", 1, 4094)), "untagged", schema.Numbers("the VLAN of frames without a tag, which have none otherwise", 1, 4094)),
	"network", schema.Keys("what happens to frames to and from a network card; the card alone makes it whole again", []string{"card"},
		"card", cards(), "profile", schema.Words("a condition by its name", conditionNames()...), "delay", durations("of each frame"), "jitter", durations("the delay varies by so much"),
		"loss", schema.Matching("how many frames are lost", percent, "0% to 100%"), "duplicate", schema.Matching("how many frames arrive twice", percent, "0% to 100%"),
		"rate", schema.Matching("bits a second", bitRate, "a number with bit, kbit, mbit or gbit")),
	"partition", schema.ListOf("cuts the network between groups of machines", schema.A(schema.Several, "a group")),
	"service", serveRule,
	"heal", schema.A(schema.Truth, "ends a partition"),
	"copy", schema.Keys("copies a file into the machine", []string{"from", "to"}, "from", schema.A(schema.Text, "beside the suite"), "to", schema.A(schema.Text, "in the machine")),
	"keep", schema.Keys("keeps a file of the machine with the results", []string{"from", "as"}, "from", schema.A(schema.Text, "in the machine"), "as", schema.A(schema.Text, "its name there")),
	"gap", schema.Keys("measures the longest time without an answer while other steps run", []string{"to", "max"}, "to", schema.A(schema.Text, "an address, or ${machine.network}"), "max", durations("the longest one that is allowed")),
}

// conditions are what else a step has.
var conditions = []any{
	"name", schema.A(schema.Text, "what the step shows, in words"),
	"machine", schema.A(schema.Texts, "where: a machine, several, or all"),
	"when", schema.A(schema.Text, "a script for the step's first machine; when it fails, the step is skipped, and what it writes is the reason"),
	"within", durations("tries again until it holds, at most so long"),
	"for", durations("and then holds for so long, by the clock"),
	"status", schema.Numbers("exit status that run must have", 0, 255),
	"fails", schema.A(schema.Truth, "run must have another status than 0"),
	"stdout", schema.A(schema.Text, "regular expression that run's output, or qmp's answer, must match"),
	"not", schema.A(schema.Text, "regular expression that run's output must not match"),
}

var innerStep = schema.Keys("a step", nil, append(conditions[:len(conditions):len(conditions)], actionRules...)...)

// withMeanwhile is what steps have, but for groups of them.
var withMeanwhile = append(append(conditions[:len(conditions):len(conditions)], actionRules...), "meanwhile", schema.ListOf("steps that run during a measurement", innerStep))

var stepRule = schema.Keys("a step: what is done, or has to hold", nil, append(withMeanwhile[:len(withMeanwhile):len(withMeanwhile)],
	"repeat", schema.Numbers("does steps so often, and reports least, median and most of what they measure", 1, 1000),
	"steps", schema.ListOf("what is repeated", schema.Keys("a step", nil, withMeanwhile...)),
	"fresh", schema.A(schema.Truth, "each time begins with the state before the first"))...)

var cardAddress = regexp.MustCompile(`^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$`)

var cardRule = schema.Keys("a network card, and the switch port that its cable goes to; alone it is a port for frames without a tag", nil,
	"switch", schema.Matching("the switch; lan, that of a profile's cards, when it is not said", machine, "lower-case letters, digits and inner hyphens"),
	"tagged", schema.ListOf("VLANs whose frames are tagged", schema.Numbers("a VLAN", 1, 4094)),
	"untagged", schema.Numbers("the VLAN of frames without a tag", 1, 4094),
	"mac", schema.Matching("the hardware address", cardAddress, "six pairs of hexadecimal digits with colons, of one machine"),
)

var machineRule = schema.Keys("a machine", nil,
	"cards", &schema.Rule{Shape: schema.Named, Doc: "network cards by name, in the place of those of a profile or beside them", Pattern: cardName, Form: "eth0 to eth15", Value: cardRule},
	"node", schema.Matching("node of the profile; usually the machine's name", machine, "a node's name"),
	"overlays", schema.A(schema.Several, "kas files of its image, behind the suite's"),
	"image", schema.A(schema.Text, "a .wic file instead of what kas files build"),
	"boot", schema.Words("how it boots", "uefi", "direct"),
	"cpus", schema.Numbers("processors", 1, 64),
	"memory", schema.Numbers("MiB", 64, 1<<20),
	"persistent", schema.A(schema.Truth, "what it writes survives being switched off"),
	"start", schema.A(schema.Truth, "whether it is started before all steps; false leaves that to a step"),
)

var suiteRule = schema.Keys("A test suite of n3x", []string{"steps", "machines"},
	"description", schema.A(schema.Text, "one sentence"),
	"tags", schema.A(schema.Several, "by which suites are chosen"),
	"profile", schema.A(schema.Text, "the network profile whose nodes the machines are"),
	"overlays", schema.A(schema.Several, "kas files of all machines' images; those of profile and node come behind"),
	"needs", &schema.Rule{Shape: schema.Several, Doc: "without these the suite is skipped", Words: []string{"k3s"}},
	"limit", durations("for the whole suite"),
	"capture", schema.A(schema.Truth, "keeps all frames of all network cards as pcap files"),
	"drops", &schema.Rule{Shape: schema.Several, Doc: "why frames may be dropped by the switch; any other reason fails the suite", Words: dropNames()},
	"machines", &schema.Rule{Shape: schema.Named, Doc: "the machines by name", Pattern: machine, Form: "lower-case letters, digits and inner hyphens", Value: machineRule},
	"services", servicesRule,
	"steps", schema.ListOf("what is done, in order", stepRule),
	"always", schema.ListOf("conditions that must hold all the time while the steps run; machines that are off or do not answer are left alone", innerStep),
	"twins", schema.ListOf("the suite with something broken, which shows that it can fail", schema.Keys("a twin", []string{"name", "steps", "fails"},
		"name", schema.A(schema.Text, "what is broken"),
		"after", schema.A(schema.Text, "the step behind which it is broken; usually before all"),
		"steps", schema.ListOf("what breaks it", stepRule),
		"fails", schema.A(schema.Text, "the step that must fail"))),
)

// Schema is the JSON schema of suites, for editors.
func Schema() []byte { return suiteRule.JSON("Written from n3x's own rules.") }
