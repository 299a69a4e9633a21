package isar

import (
	"bytes"
	"io"
	"strings"
	"sync"

	"n3x/internal/progress"
)

// plainMark is what bbplain of class logging puts before a line that is for the user.
const plainMark = "n3x-plain: "

// messages copies a task's output into its log and shows the user the lines that are meant for them.
type messages struct {
	mu   sync.Mutex
	out  io.Writer
	task *progress.Task
	rest []byte // a line not yet ended
}

// Write takes output of any shape; lines may come in pieces.
func (m *messages) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rest = append(m.rest, p...)
	for {
		i := bytes.IndexByte(m.rest, '\n')
		if i < 0 {
			if len(m.rest) > 1<<20 { // no line is that long: binary output
				if _, err := m.out.Write(m.rest); err != nil {
					return 0, err
				}
				m.rest = nil
			}
			return len(p), nil
		}
		line := string(m.rest[:i])
		m.rest = append(m.rest[:0], m.rest[i+1:]...)
		if err := m.line(line); err != nil {
			return 0, err
		}
	}
}

func (m *messages) line(line string) error {
	shown := line
	if after, ok := strings.CutPrefix(line, plainMark); ok {
		line, shown = after, after
	} else if !strings.HasPrefix(line, "WARNING: ") {
		shown = ""
	}
	if shown != "" {
		m.task.Line(shown)
	}
	_, err := io.WriteString(m.out, line+"\n")
	return err
}

// flush writes what was left without a line end.
func (m *messages) flush() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.rest) > 0 {
		m.line(string(m.rest)) //nolint:errcheck // the log itself is failing; there is nowhere to say so
		m.rest = nil
	}
}
