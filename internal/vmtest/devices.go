package vmtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"n3x/internal/diag"
)

// Keys presses keys of a machine's keyboard, all at once: "ctrl-alt-delete", or one after the other when there are several.
type Keys struct{ Keys []string }

// String names them.
func (k *Keys) String() string { return "press " + strings.Join(k.Keys, ", ") }

// Act does it.
func (k *Keys) Act(ctx context.Context, _ *Run, m *Machine) error {
	vm, _, err := m.on()
	if err != nil {
		return err
	}
	for _, chord := range k.Keys {
		if err := vm.Press(ctx, strings.Split(chord, "-")...); err != nil {
			return err
		}
	}
	return nil
}

// Typing types a text on a machine's keyboard, which is one of the United States, or on its serial console.
type Typing struct {
	Text   string
	Serial bool
}

// String shows the text.
func (y *Typing) String() string {
	if y.Serial {
		return fmt.Sprintf("type %q on the console", y.Text)
	}
	return fmt.Sprintf("type %q", y.Text)
}

// Act does it.
func (y *Typing) Act(ctx context.Context, _ *Run, m *Machine) error {
	if y.Serial {
		return m.Type([]byte(strings.ReplaceAll(y.Text, "\n", "\r")))
	}
	vm, _, err := m.on()
	if err != nil {
		return err
	}
	return vm.TypeText(ctx, y.Text)
}

// Shot keeps a picture of a machine's screen.
type Shot struct{ Name string }

// String names it.
func (s *Shot) String() string { return "screenshot " + s.Name }

// Act does it.
func (s *Shot) Act(ctx context.Context, r *Run, m *Machine) error {
	file, err := m.Screenshot(ctx, s.Name)
	if err == nil {
		r.note("the screen of %s is %s", m.Name(), file)
	}
	return err
}

// QMP gives QEMU a command of its own protocol, for what no other action does.
type QMP struct {
	Execute   string          `json:"execute"`
	Arguments json.RawMessage `json:"arguments,omitempty"`
	Answer    *regexp.Regexp  `json:"-"` // must match the answer's JSON; nil is anything but an error
}

// String names the command.
func (q *QMP) String() string { return "QMP " + q.Execute }

// Act does it.
func (q *QMP) Act(ctx context.Context, r *Run, m *Machine) error {
	vm, _, err := m.on()
	if err != nil {
		return err
	}
	var args any
	if q.Arguments != nil {
		args = q.Arguments
	}
	var answer json.RawMessage
	if err := vm.QMP(ctx, q.Execute, args, &answer); err != nil {
		return err
	}
	r.note("%s answered %s", q.Execute, answer)
	if q.Answer != nil && !q.Answer.Match(answer) {
		return diag.Failedf(diag.Pos{}, "the answer does not match %q", q.Answer).WithNote("it is\n%s", answer)
	}
	return nil
}

// readQMP reads a command's name, or all of it as JSON.
func readQMP(text string) (*QMP, error) {
	q := &QMP{Execute: text}
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		d := json.NewDecoder(bytes.NewReader([]byte(text)))
		d.DisallowUnknownFields()
		*q = QMP{}
		if err := d.Decode(q); err != nil {
			return q, err
		}
		if d.More() {
			return q, fmt.Errorf("something is behind it")
		}
	}
	if !qmpName.MatchString(q.Execute) {
		return q, fmt.Errorf("%q is no command's name", q.Execute)
	}
	return q, nil
}

var qmpName = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)
