package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"n3x/internal/progress"
)

// progressFlags choose how progress is shown.
type progressFlags struct{ style string }

func (f *progressFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.style, "progress", "auto", "how to show progress: auto, terminal, plain or json")
}

// progress makes the stream that builds report to; done ends the display.
func (a *app) progress() (s *progress.Stream, done func()) {
	style := a.plain.style
	file, isFile := a.stderr.(*os.File)
	if style == "auto" || style == "" {
		style = "plain"
		if isFile && term.IsTerminal(int(file.Fd())) && a.env["TERM"] != "dumb" {
			style = "terminal"
		}
	}
	switch style {
	case "json":
		return progress.New(&jsonLines{json.NewEncoder(a.stdout)}, time.Now), func() {}
	case "terminal":
		t := &terminal{w: a.stderr, width: func() int {
			if w, _, err := term.GetSize(int(file.Fd())); isFile && err == nil {
				return w
			}
			return 80
		}}
		return progress.New(t, time.Now), t.end
	}
	return progress.New(&plainLines{a.stderr}, time.Now), func() {}
}

// jsonLines writes each event as one line of JSON.
type jsonLines struct{ enc *json.Encoder }

// Event writes e.
func (j *jsonLines) Event(e progress.Event) {
	_ = j.enc.Encode(e) // a reader that went away must not stop the build
}

// plainLines writes a line when a task starts, ends, or says something.
type plainLines struct{ w io.Writer }

// Event writes e, unless it is mere progress.
func (p *plainLines) Event(e progress.Event) {
	switch e.Kind {
	case progress.Started:
		fmt.Fprintf(p.w, "start  %s\n", e.Task)
	case progress.Finished:
		fmt.Fprintf(p.w, "done   %s (%.1f s)\n", e.Task, e.Took.Seconds())
	case progress.Deferred:
		fmt.Fprintf(p.w, "later  %s (%.1f s)\n", e.Task, e.Took.Seconds())
	case progress.Failed:
		fmt.Fprintf(p.w, "FAILED %s (%.1f s)\n", e.Task, e.Took.Seconds())
	case progress.Line:
		fmt.Fprintln(p.w, withTask(e))
	}
}

func withTask(e progress.Event) string {
	if e.Task == "" {
		return e.Text
	}
	return e.Task + ": " + e.Text
}

// terminal keeps one line for each running task at the bottom of the screen.
type terminal struct {
	w     io.Writer
	width func() int

	mu     sync.Mutex
	tasks  []*running
	drawn  int // lines now on the screen
	last   time.Time
	cached int
}

type running struct {
	name, text  string
	done, total int64
	unit        string
	since       time.Time
}

// Event updates the display, at most ten times a second while tasks only progress.
func (t *terminal) Event(e progress.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := slices.IndexFunc(t.tasks, func(r *running) bool { return r.name == e.Task })
	switch e.Kind {
	case progress.Started:
		t.tasks = append(t.tasks, &running{name: e.Task, since: e.Time})
	case progress.Progress:
		if at >= 0 {
			r := t.tasks[at]
			if e.Text != "" {
				r.text, r.done, r.total = e.Text, 0, 0
			} else {
				r.done, r.total, r.unit = e.Done, e.Total, e.Unit
			}
		}
		if e.Time.Sub(t.last) < 100*time.Millisecond {
			return
		}
	case progress.Cached:
		t.cached++
	case progress.Line:
		t.print(withTask(e))
	case progress.Finished, progress.Failed, progress.Deferred:
		if at >= 0 {
			t.tasks = slices.Delete(t.tasks, at, at+1)
		}
		if e.Kind == progress.Deferred {
			break
		}
		mark := "\x1b[32m✔\x1b[0m"
		if e.Kind == progress.Failed {
			mark = "\x1b[31m✘\x1b[0m"
		}
		if e.Kind == progress.Failed || e.Took > 300*time.Millisecond {
			t.print(fmt.Sprintf("%s %s \x1b[2m%.1f s\x1b[0m", mark, e.Task, e.Took.Seconds()))
		}
	}
	t.last = e.Time
	t.draw(e.Time)
}

// print puts a line above the running tasks.
func (t *terminal) print(line string) {
	t.erase()
	fmt.Fprintln(t.w, line)
}

func (t *terminal) erase() {
	if t.drawn > 0 {
		fmt.Fprintf(t.w, "\x1b[%dA\x1b[J", t.drawn)
		t.drawn = 0
	}
}

func (t *terminal) draw(now time.Time) {
	t.erase()
	width := max(t.width()-1, 20)
	var b strings.Builder
	for _, r := range t.tasks {
		line := fmt.Sprintf("  %s %s", r.name, r.text)
		switch {
		case r.total > 0 && r.unit == "bytes":
			line += fmt.Sprintf(" %.1f of %.1f MB", float64(r.done)/1e6, float64(r.total)/1e6)
		case r.total > 0:
			line += fmt.Sprintf(" %d/%d", r.done, r.total)
		}
		line += fmt.Sprintf(" (%.0f s)", now.Sub(r.since).Seconds())
		if len(line) > width {
			line = line[:width]
		}
		b.WriteString(line + "\n")
		t.drawn++
	}
	io.WriteString(t.w, b.String()) //nolint:errcheck // a terminal that went away must not stop the build
}

func (t *terminal) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.erase()
}
