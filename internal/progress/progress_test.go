package progress

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type record []Event

func (r *record) Event(e Event) { *r = append(*r, e) }

func TestStream(t *testing.T) {
	t.Parallel()
	now := time.Unix(100, 0)
	var got record
	s := New(&got, func() time.Time { now = now.Add(time.Second); return now })
	task := s.Task("a")
	task.Step("x")
	task.Advance(1, 2, "bytes")
	task.Line("l")
	task.End(errors.New("boom"))
	s.Cached("b")
	s.Printf("whole")
	s.Task("c").Defer()
	for i := range got {
		if got[i].Time.IsZero() {
			t.Errorf("event %d has no time", i)
		}
		got[i].Time = time.Time{}
	}
	want := record{{Kind: Started, Task: "a"}, {Kind: Progress, Task: "a", Text: "x"}, {Kind: Progress, Task: "a", Done: 1, Total: 2, Unit: "bytes"},
		{Kind: Line, Task: "a", Text: "l"}, {Kind: Failed, Task: "a", Text: "boom", Took: 5 * time.Second}, {Kind: Cached, Task: "b"}, {Kind: Line, Text: "whole"},
		{Kind: Started, Task: "c"}, {Kind: Deferred, Task: "c", Took: 2 * time.Second}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestNilIsSilent(t *testing.T) {
	t.Parallel()
	var s *Stream
	s.Printf("x")
	s.Cached("x")
	task := s.Task("x")
	task.Step("x")
	task.Defer()
	task.End(nil) // must not panic
}
