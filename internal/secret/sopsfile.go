package secret

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"n3x/internal/diag"
	"n3x/internal/yaml"
)

// form is how a sops file is written.
type form int

const (
	noForm form = iota
	yamlForm
	jsonForm // also what sops calls binary: one value called data
	dotenvForm
	iniForm
)

var (
	yamlOwn   = regexp.MustCompile(`(?m)^sops:`)
	iniOwn    = regexp.MustCompile(`(?m)^\[sops\]\s*$`)
	dotenvOwn = regexp.MustCompile(`(?m)^sops_(mac|version)=`)
)

// formOf finds sops' own part in a file.
func formOf(data []byte) form {
	text := string(data)
	switch {
	case strings.HasPrefix(strings.TrimSpace(text), "{") && strings.Contains(text, `"sops"`):
		return jsonForm
	case yamlOwn.MatchString(text):
		return yamlForm
	case iniOwn.MatchString(text):
		return iniForm
	case dotenvOwn.MatchString(text):
		return dotenvForm
	}
	return noForm
}

// sopsFile is a sops file before it is decrypted.
type sopsFile struct {
	form          form
	values        []yaml.Entry // in the file's order
	recipients    []string     // the data key, encrypted for each age recipient
	groups        bool         // shares of the data key are spread over groups
	mac, modified string
	onlySealed    bool // values that are not encrypted are not authenticated either
}

func parseSops(file string, data []byte) (*sopsFile, error) {
	f := &sopsFile{form: formOf(data)}
	parse := yaml.Parse
	switch f.form {
	case jsonForm:
		parse = yaml.ParseJSON
	case dotenvForm, iniForm:
		return f, f.flat(file, string(data))
	}
	root, err := parse(file, data, nil)
	if err != nil {
		return nil, err
	}
	own := root.Lookup("sops")
	if own.Map() == nil {
		return nil, diag.Userf(diag.Pos{File: file}, "sops' own part is no mapping")
	}
	for _, e := range root.Map().Entries() {
		if e.Key != "sops" {
			f.values = append(f.values, e)
		}
	}
	for _, r := range own.Lookup("age").List() {
		f.recipients = append(f.recipients, scalar(r.Lookup("enc")))
	}
	f.groups = len(own.Lookup("key_groups").List()) > 0
	f.mac, f.modified = scalar(own.Lookup("mac")), scalar(own.Lookup("lastmodified"))
	f.onlySealed = scalar(own.Lookup("mac_only_encrypted")) == "true"
	return f, nil
}

// ageKey is where the files without nesting have a recipient's data key.
var ageKey = regexp.MustCompile(`^age__list_(\d+)__map_enc$`)

// flat reads dotenv and ini files: lines of names and values, where sops' own part is flattened and lines are joined by \n.
func (f *sopsFile) flat(file, text string) error {
	own := map[string]string{}
	section, separator := "DEFAULT", "=" // the section before the first is called DEFAULT
	values := map[string]*yaml.Map{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\r\n")
		name, value, found := strings.Cut(line, separator)
		if f.form == iniForm {
			name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		}
		switch {
		case strings.TrimSpace(line) == "", line[0] == '#', f.form == iniForm && line[0] == ';':
			continue
		case f.form == iniForm && line[0] == '[':
			section = strings.Trim(strings.TrimSpace(line), "[]")
			continue
		case !found:
			return diag.Userf(diag.Pos{File: file, Line: n}, "the line has no %q", separator)
		}
		value = strings.ReplaceAll(value, `\n`, "\n")
		rest, isOwn := strings.CutPrefix(name, "sops_")
		if f.form == iniForm {
			rest, isOwn = name, section == "sops"
		}
		e := yaml.Entry{Key: name, Node: &yaml.Node{Pos: diag.Pos{File: file, Line: n}, Value: value}}
		switch {
		case isOwn:
			own[rest] = value
		case f.form == dotenvForm:
			f.values = append(f.values, e)
		default:
			if values[section] == nil {
				values[section] = &yaml.Map{}
				f.values = append(f.values, yaml.Entry{Key: section, Node: &yaml.Node{Value: values[section]}})
			}
			values[section].Set(e)
		}
	}
	for name, value := range own {
		if ageKey.MatchString(name) {
			f.recipients = append(f.recipients, value)
		}
		f.groups = f.groups || strings.HasPrefix(name, "key_groups__")
	}
	slices.Sort(f.recipients)
	f.mac, f.modified, f.onlySealed = own["mac"], own["lastmodified"], own["mac_only_encrypted"] == "true"
	return nil
}

// scalar is a node's text, "" for anything else.
func scalar(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	switch v := n.Value.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case yaml.Timestamp:
		return string(v)
	}
	return n.Plain
}

// clear is a value that is not encrypted as sops counts it for the authentication code.
func (f *sopsFile) clear(n *yaml.Node) string {
	plain := strings.ReplaceAll(n.Plain, "_", "")
	switch v := n.Value.(type) {
	case bool:
		switch {
		case n.Plain != "" && !strings.EqualFold(n.Plain, "true") && !strings.EqualFold(n.Plain, "false"):
			return n.Plain // yes and on are words to sops
		case v:
			return "True"
		}
		return "False"
	case int64:
		if f.form == jsonForm {
			return strconv.FormatFloat(float64(v), 'f', -1, 64)
		}
		if i, err := strconv.ParseInt(plain, 0, 64); err == nil {
			return strconv.FormatInt(i, 10)
		}
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return scalar(n)
}
