package qemu

import (
	"context"
	"fmt"
	"strings"

	"n3x/internal/diag"
)

// keyNames are QEMU's names of keys that give a character on a keyboard of the United States (qapi/ui.json, QKeyCode).
var keyNames = map[rune]string{
	' ': "spc", '\n': "ret", '\t': "tab", '-': "minus", '=': "equal", '[': "bracket_left", ']': "bracket_right", ';': "semicolon", '\'': "apostrophe",
	'`': "grave_accent", '\\': "backslash", ',': "comma", '.': "dot", '/': "slash",
}

// shifted are the characters that need the shift key, and those on the same keys.
const (
	shifted   = `!@#$%^&*()_+{}:"~|<>?`
	unshifted = "1234567890-=[];'`\\,./"
)

// chord is the keys that give a character.
func chord(c rune) ([]string, bool) {
	if at := strings.IndexRune(shifted, c); at >= 0 {
		key, ok := chord(rune(unshifted[at]))
		return append([]string{"shift"}, key...), ok
	}
	switch name := keyNames[c]; {
	case name != "":
		return []string{name}, true
	case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
		return []string{string(c)}, true
	case c >= 'A' && c <= 'Z':
		return []string{"shift", strings.ToLower(string(c))}, true
	}
	return nil, false
}

// Press presses keys at once and lets them go, by QEMU's names, e.g. "ctrl", "alt", "delete".
func (v *VM) Press(ctx context.Context, keys ...string) error {
	type key struct {
		Type string `json:"type"`
		Data string `json:"data"`
	}
	var all []key
	for _, k := range keys {
		all = append(all, key{"qcode", k})
	}
	if err := v.QMP(ctx, "send-key", map[string]any{"keys": all}, nil); err != nil {
		return fmt.Errorf("press %s at machine %s: %w", strings.Join(keys, "-"), v.m.Name, err)
	}
	return nil
}

// TypeText types a text on the machine's keyboard. It is an error, before anything is typed, when a character is on no key.
func (v *VM) TypeText(ctx context.Context, text string) error {
	var all [][]string
	for _, c := range text {
		keys, ok := chord(c)
		if !ok {
			return diag.Userf(diag.Pos{}, "type at machine %s: %q is on no key", v.m.Name, c)
		}
		all = append(all, keys)
	}
	for _, keys := range all {
		// A key is held for 100 ms unless QEMU is told otherwise, and the next ones wait; its queue has room for 1024.
		if err := v.Press(ctx, keys...); err != nil {
			return err
		}
	}
	return nil
}
