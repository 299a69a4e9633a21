package kas

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"n3x/internal/diag"
	"n3x/internal/yaml"
)

// kind is a set of types that a key may take.
type kind int

const (
	text kind = 1 << iota
	integer
	boolean
	null
	list
	mapping
)

// rule says what one place of a kas file may hold, as kas/schema-kas.json of kas 5.4 says it.
type rule struct {
	kinds    kind
	keys     map[string]*rule // of a mapping: the keys it knows
	other    *rule            // of a mapping: what every other key holds; nil means that there is none
	open     bool             // of a mapping: other keys are tolerated unchecked
	required []string
	items    *rule                          // of a list
	words    []string                       // of a string: the words it may be
	check    func(n *yaml.Node) *diag.Error // further conditions, asked when the type fits
}

var (
	str       = &rule{kinds: text}
	strOrNull = &rule{kinds: text | null}
	strMap    = &rule{kinds: mapping, other: str}
)

// schema is the whole file.
var schema = &rule{
	kinds:    mapping,
	required: []string{"header"},
	keys: map[string]*rule{
		"header": {kinds: mapping, required: []string{"version"}, keys: map[string]*rule{
			"version": {kinds: text | integer, check: checkVersion},
			"includes": {kinds: list, items: &rule{kinds: text | mapping, required: []string{"repo", "file"},
				keys: map[string]*rule{"repo": str, "file": str}}},
		}},
		"build_system": {kinds: text, words: []string{"openembedded", "oe", "isar", "isar-privileged", "isar-rootless"}},
		"defaults": {kinds: mapping, keys: map[string]*rule{
			"repos": {kinds: mapping, keys: map[string]*rule{"branch": str, "tag": str, "refspec": str,
				"patches": {kinds: mapping, keys: map[string]*rule{"repo": str}}}},
		}},
		"overrides": {kinds: mapping, keys: map[string]*rule{
			"repos": {kinds: mapping, other: &rule{kinds: mapping,
				keys: map[string]*rule{"branch": strOrNull, "commit": strOrNull, "url": str}}},
		}},
		"machine":              str,
		"distro":               str,
		"task":                 str,
		"target":               {kinds: text | list, items: str},
		"env":                  {kinds: mapping, other: strOrNull},
		"repos":                {kinds: mapping, other: repoRule},
		"bblayers_conf_header": strMap,
		"local_conf_header":    strMap,
		"proxy_config": {kinds: mapping, keys: map[string]*rule{
			"http_proxy": str, "https_proxy": str, "ftp_proxy": str, "no_proxy": str}},
		"menu_configuration": {kinds: mapping, other: &rule{kinds: boolean | text | integer}},
		"artifacts":          strMap,
		"signers":            {kinds: mapping, other: signerRule},
		"_source_dir":        str,
		"_source_dir_host":   str,
		"buildtools": {kinds: mapping, open: true, required: []string{"version", "sha256sum"}, keys: map[string]*rule{
			"version": str, "sha256sum": str, "base_url": str, "filename": str}},
	},
}

var repoRule = &rule{kinds: mapping | null, keys: map[string]*rule{
	"name":            str,
	"url":             strOrNull,
	"type":            {kinds: text, words: []string{"git", "hg"}},
	"commit":          str,
	"branch":          strOrNull,
	"tag":             strOrNull,
	"refspec":         str,
	"signed":          {kinds: boolean},
	"allowed_signers": {kinds: list, items: str},
	"path":            strOrNull,
	"layers": {kinds: mapping, other: &rule{kinds: null | text | integer | boolean | mapping, check: checkLayer,
		keys: map[string]*rule{"prio": {kinds: integer, check: checkPrio}}}},
	"patches": {kinds: mapping, other: &rule{kinds: mapping | null, required: []string{"path"},
		keys: map[string]*rule{"repo": str, "path": str}}},
}}

var signerRule = &rule{kinds: mapping, check: checkSigner, keys: map[string]*rule{
	"type":          {kinds: text, words: []string{"gpg", "ssh"}},
	"repo":          str,
	"path":          str,
	"fingerprint":   {kinds: text, check: checkFingerprint},
	"gpg_keyserver": str,
}}

func checkVersion(n *yaml.Node) *diag.Error {
	if s, ok := n.Text(); ok {
		return diag.Userf(n.Pos, "header version %q is not supported", s).
			WithHint("write a number from %d to %d, without quotes, e.g. version: 14", OldestVersion, NewestVersion)
	}
	if v, ok := intOf(n); !ok || v < OldestVersion || v > NewestVersion {
		return diag.Userf(n.Pos, "header version %v is not supported", n.Value).
			WithHint("n3x reads the kas format versions %d to %d", OldestVersion, NewestVersion)
	}
	return nil
}

func checkPrio(n *yaml.Node) *diag.Error {
	if v, ok := intOf(n); !ok || v < -99 || v > 99 {
		return diag.Userf(n.Pos, "layer priority %v is out of range", n.Value).WithHint("priorities go from -99 to 99")
	}
	return nil
}

// disabledWords are the values with which a layer is left out; all but the first are deprecated, like 0 and false.
var disabledWords = []string{"disabled", "excluded", "n", "no", "0", "false"}

func checkLayer(n *yaml.Node) *diag.Error {
	switch v := n.Value.(type) {
	case string:
		if slices.Contains(disabledWords, v) {
			return nil
		}
	case bool:
		if !v {
			return nil
		}
	case *yaml.Map, nil:
		return nil
	default:
		if i, ok := intOf(n); ok && i == 0 {
			return nil
		}
	}
	return diag.Userf(n.Pos, "layer value %s is not known", quoteValue(n)).
		WithHint(`leave the value empty to use the layer, write "disabled" to leave it out, or give {prio: N}`)
}

func checkFingerprint(n *yaml.Node) *diag.Error {
	if s, _ := n.Text(); len(s) != 40 && len(s) != 50 {
		return diag.Userf(n.Pos, "fingerprint has %d characters", len(s)).
			WithHint("a gpg fingerprint has 40 hex digits, an ssh one 50 characters (SHA256:...)")
	}
	return nil
}

func checkSigner(n *yaml.Node) *diag.Error {
	m := n.Map()
	has := func(k string) bool { return m.Lookup(k) != nil }
	typ, _ := m.Lookup("type").Text()
	switch {
	case has("path") == has("gpg_keyserver"):
		return diag.Userf(n.Pos, "a signer has either path or gpg_keyserver")
	case has("path") && !has("repo"):
		return diag.Userf(n.Pos, "a signer with path needs repo")
	case has("gpg_keyserver") && !has("fingerprint"):
		return diag.Userf(n.Pos, "a signer with gpg_keyserver needs fingerprint")
	case typ == "ssh" && !has("path"):
		return diag.Userf(n.Pos, "an ssh signer needs repo and path")
	}
	return nil
}

// intOf is the node's integer. Like JSON Schema, it takes 3.0 for one.
func intOf(n *yaml.Node) (int64, bool) {
	switch v := n.Value.(type) {
	case int64:
		return v, true
	case float64:
		return int64(v), v == math.Trunc(v) && math.Abs(v) < 1<<53
	}
	return 0, false
}

// quoteValue shows a scalar as a message quotes it.
func quoteValue(n *yaml.Node) string {
	if s, ok := n.Text(); ok {
		return fmt.Sprintf("%q", s)
	}
	return yaml.KindOf(n)
}

var kindNames = []struct {
	k    kind
	name string
}{{text, "a string"}, {integer, "an integer"}, {boolean, "true or false"}, {list, "a list"}, {mapping, "a mapping"}, {null, "nothing"}}

// String names the types as a message lists them.
func (k kind) String() string {
	var names []string
	for _, kn := range kindNames {
		if k&kn.k != 0 {
			names = append(names, kn.name)
		}
	}
	if last := len(names) - 1; last > 0 {
		return strings.Join(names[:last], ", ") + " or " + names[last]
	}
	return strings.Join(names, "")
}
