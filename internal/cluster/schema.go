package cluster

import (
	"bytes"
	"encoding/json"
	"regexp"
)

// shape is what a value of a profile may be.
type shape int

const (
	text    shape = iota
	number        // an integer
	truth         // true or false
	texts         // one text, or a list of them
	several       // a list of texts
	mapping       // keys that the schema names
	named         // keys that the file chooses
	place         // an address, several, or a mapping
)

// rule says what one place of a profile holds. The published JSON schema is written from it.
type rule struct {
	shape    shape
	doc      string
	order    []string         // the keys, in the order of the schema
	keys     map[string]*rule // of a mapping
	value    *rule            // of a named mapping: what its keys hold
	pattern  *regexp.Regexp   // of a text, or of the names of a named mapping
	form     string           // the pattern in words
	words    []string         // of a text: the words it may be
	min, max int              // of a number
	required []string
}

var (
	labelName     = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	interfaceName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,14}$`)
	macAddress    = regexp.MustCompile(`^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$`)
	leaseTime     = regexp.MustCompile(`^([1-9][0-9]*[smhdw]?|infinite)$`)
	bondModes     = []string{"balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"}
)

const (
	labelForm     = "lower-case letters, digits and inner hyphens, at most 63"
	interfaceForm = "a letter, then letters, digits, _ . -, at most 15 in all"
)

func keys(doc string, required []string, pairs ...any) *rule {
	r := &rule{shape: mapping, doc: doc, keys: map[string]*rule{}, required: required}
	for i := 0; i < len(pairs); i += 2 {
		name, _ := pairs[i].(string)
		r.keys[name], _ = pairs[i+1].(*rule)
		r.order = append(r.order, name)
	}
	return r
}

func words(doc string, of ...string) *rule { return &rule{shape: text, doc: doc, words: of} }

func numbers(doc string, from, to int) *rule {
	return &rule{shape: number, doc: doc, min: from, max: to}
}

func matching(doc string, p *regexp.Regexp, form string) *rule {
	return &rule{shape: text, doc: doc, pattern: p, form: form}
}

var dhcpRule = keys("the DHCP server that gives nodes their addresses as reservations", []string{"server"},
	"server", &rule{doc: "address of the server"},
	"mac", matching("hardware address of the server", macAddress, "six hexadecimal pairs with colons"),
	"range", &rule{shape: several, doc: "first and last address of the dynamic range"},
	"lease", matching("lease time as dnsmasq writes it, e.g. 12h", leaseTime, "a number with s, m, h, d or w, or infinite"),
)

var networkRule = keys("a network: what carries it, and its addresses", []string{"interface", "subnet"},
	"interface", matching("network card or bond that carries it", interfaceName, interfaceForm),
	"vlan", numbers("802.1Q id; without one the network is untagged", 1, 4094),
	"device", matching("name of the VLAN's interface; usually INTERFACE.VLAN", interfaceName, interfaceForm),
	"subnet", &rule{shape: texts, doc: "prefix, e.g. 192.168.1.0/24; with two address families a list of two"},
	"gateway", &rule{shape: texts, doc: "default route, one for each address family; with IPv6 also a router's fe80:: address"},
	"dns", &rule{shape: texts, doc: "addresses of name servers"},
	"domains", &rule{shape: texts, doc: "search domains"},
	"ntp", &rule{shape: texts, doc: "time servers"},
	"routes", &rule{shape: named, doc: "static routes: prefix to gateway", value: &rule{doc: "address of the gateway"}},
	"mtu", numbers("bytes (1500)", 576, 65535),
	"optional", &rule{shape: truth, doc: "the machine counts as online without this network"},
	"dhcp", dhcpRule,
)

var bondRule = keys("network cards that act as one", []string{"members"},
	"members", &rule{shape: several, doc: "the network cards"},
	"mode", words("how traffic is spread", bondModes...),
	"primary", matching("preferred member (active-backup, balance-tlb, balance-alb)", interfaceName, interfaceForm),
	"reselect", words("when the primary takes over again", "always", "better", "failure"),
	"miimon", numbers("link check interval in milliseconds (100)", 1, 60000),
	"updelay", numbers("milliseconds until a link that came back is used", 0, 600000),
	"downdelay", numbers("milliseconds until a link that failed is left", 0, 600000),
	"lacp-rate", words("how often the partner sends LACP packets (802.3ad)", "slow", "fast"),
	"transmit-hash", words("what chooses the member (balance-xor, 802.3ad)", "layer2", "layer2+3", "layer3+4", "encap2+3", "encap3+4"),
)

var k3sRule = keys("settings of the cluster", []string{"network"},
	"network", &rule{doc: "the network whose addresses the nodes talk by"},
	"cluster-cidr", &rule{shape: texts, doc: "addresses of pods (10.42.0.0/16)"},
	"service-cidr", &rule{shape: texts, doc: "addresses of services (10.43.0.0/16)"},
	"cluster-dns", &rule{shape: texts, doc: "address of the cluster's name server: the tenth of the services'"},
	"tls-san", &rule{shape: texts, doc: "more names and addresses for the API server's certificate"},
)

var nodeRule = keys("a machine", []string{"role", "networks"},
	"role", words("what the node does", string(Server), string(Agent)),
	"networks", &rule{shape: named, doc: "where the node is: network to address", value: &rule{shape: place, doc: "an address, one for each address family, or a mapping",
		order: []string{"address", "vlan"}, required: []string{"address"}, keys: map[string]*rule{
			"address": {shape: texts, doc: "an address, one for each address family"},
			"vlan":    numbers("802.1Q id, instead of the network's", 1, 4094),
		}}},
	"mac", &rule{shape: named, doc: "hardware addresses: interface to address", value: matching("hardware address", macAddress, "six hexadecimal pairs with colons")},
	"interfaces", &rule{shape: named, doc: "this machine's own names of network cards: the profile's name to the machine's", value: matching("name on this machine", interfaceName, interfaceForm)},
	"labels", &rule{shape: named, doc: "labels of the Kubernetes node", value: &rule{doc: "value"}},
	"taints", &rule{shape: several, doc: "taints of the Kubernetes node: key=value:Effect"},
)

var profileRule = keys("A network profile of n3x with its nodes", []string{"networks", "k3s", "nodes"},
	"description", &rule{doc: "one sentence"},
	"negative", &rule{shape: truth, doc: "made to fail: images with it are built for tests only"},
	"networks", &rule{shape: named, doc: "the networks", value: networkRule, pattern: labelName, form: labelForm},
	"bonds", &rule{shape: named, doc: "the bonds", value: bondRule, pattern: interfaceName, form: interfaceForm},
	"k3s", k3sRule,
	"nodes", &rule{shape: named, doc: "the nodes; the first server makes the cluster, the others join it", value: nodeRule, pattern: labelName, form: labelForm},
)

// Schema is the JSON schema (draft 2020-12) of profiles, for editors. It says less than [Read] checks: a schema cannot tell that
// an address lies in its network.
func Schema() []byte {
	s := profileRule.schema()
	s["$comment"] = Marker + "." // sorts first
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = s["description"]
	delete(s, "description")
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(s); err != nil {
		panic("BUG: " + err.Error()) // maps, texts and numbers always encode
	}
	return b.Bytes()
}

func (r *rule) schema() map[string]any {
	one := map[string]any{"type": "string"}
	many := map[string]any{"type": "array", "items": one}
	out := map[string]any{}
	switch r.shape {
	case text:
		out = one
		if r.pattern != nil {
			out["pattern"] = r.pattern.String()
		}
		if r.words != nil {
			out["enum"] = r.words
		}
	case number:
		out["type"], out["minimum"], out["maximum"] = "integer", r.min, r.max
	case truth:
		out["type"] = "boolean"
	case texts:
		out["oneOf"] = []any{one, many}
	case several:
		out = many
	case mapping:
		r.object(out)
	case named:
		out["type"], out["additionalProperties"] = "object", r.value.schema()
		if r.pattern != nil {
			out["propertyNames"] = map[string]any{"pattern": r.pattern.String()}
		}
	case place:
		object := map[string]any{}
		r.object(object)
		out["oneOf"] = []any{one, many, object}
	}
	if r.doc != "" {
		out["description"] = r.doc
	}
	return out
}

func (r *rule) object(out map[string]any) {
	properties := map[string]any{}
	for name, k := range r.keys {
		properties[name] = k.schema()
	}
	out["type"], out["properties"], out["additionalProperties"] = "object", properties, false
	if r.required != nil {
		out["required"] = r.required
	}
}
