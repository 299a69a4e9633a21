package isar

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"n3x/internal/sandbox"
)

// carry is what a part of a function in shell leaves to the parts after it: variables, which of them are exported, and
// the working folder. A part may stand before a call of Go and another one behind it.
type carry struct {
	file     string            // its names with .set, .dir and .env added
	exported map[string]string // what the part exported that its task does not
}

var carryKinds = []string{".set", ".dir", ".env"}

func (k *carry) remove() error {
	for _, kind := range carryKinds {
		if err := os.Remove(k.file + kind); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// save is the shell text that ends a part. What set(1p) prints can be read by the shell again; it has local variables too.
func (k *carry) save() string {
	f := sandbox.Quote(k.file)
	return "\n{ set; export -p; } > " + f + ".set\npwd > " + f + ".dir\nenv -0 > " + f + ".env\n"
}

// load is the shell text that begins the part behind; nothing when there was none before.
func (k *carry) load() string {
	if k == nil {
		return ""
	}
	f := sandbox.Quote(k.file)
	return ". " + f + ".set\ncd \"$(cat " + f + ".dir)\"\n"
}

// ofTheShell are variables that a shell sets for itself.
var ofTheShell = []string{"PWD", "OLDPWD", "SHLVL", "_"}

// read completes k after its part has run with environment env; a part that returned before its end has left nothing.
func (c *Call) read(k *carry, env []string) (returned bool, err error) {
	data, err := os.ReadFile(k.file + ".env")
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	own, err := c.exports()
	if err != nil {
		return false, err
	}
	before := map[string]string{}
	for _, e := range slices.Concat(env, own) {
		name, value, _ := strings.Cut(e, "=")
		before[name] = value
	}
	k.exported = map[string]string{}
	for e := range strings.SplitSeq(string(data), "\x00") {
		name, value, ok := strings.Cut(e, "=")
		if old, had := before[name]; ok && !(had && old == value) && !slices.Contains(ofTheShell, name) {
			k.exported[name] = value
		}
	}
	return false, nil
}

// Exported are the variables that the shell lines before this native have exported beyond those of the task itself, as
// NAME=value, sorted. A function that a layer has prepended lines to hands them to Go this way.
func (c *Call) Exported() []string {
	if c.carry == nil {
		return nil
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(c.carry.exported)) {
		out = append(out, name+"="+c.carry.exported[name])
	}
	return out
}
