package qemu

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// blocked is a viewer that takes nothing until it is let go.
type blocked struct {
	strings.Builder
	began, free chan struct{}
}

func (b *blocked) Write(p []byte) (int, error) {
	select {
	case <-b.began:
	default:
		close(b.began)
	}
	<-b.free
	return b.Builder.Write(p)
}

func TestConsoleCopy(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	c := newConsole(ours, nil, nil)
	go c.read()
	slow := &blocked{began: make(chan struct{}), free: make(chan struct{})}
	ended := make(chan error, 2)
	go func() { ended <- c.Copy(t.Context(), slow, 100) }()
	io.WriteString(theirs, "first\n")
	<-slow.began
	io.WriteString(theirs, strings.Repeat("lost\n", maxRecent))
	io.WriteString(theirs, strings.Repeat("x", maxRecent)+"last\n")
	for end := time.Now().Add(10 * time.Second); !strings.HasSuffix(c.Recent(1), "last"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the machine waits for a viewer")
		}
	}
	var late strings.Builder
	go func() { ended <- c.Copy(t.Context(), &late, 6) }()
	close(slow.free)
	time.Sleep(20 * time.Millisecond)
	theirs.Close()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if late.String() != "xlast\n" {
		t.Errorf("who comes late sees %q", late.String())
	}
	if got := slow.String(); !strings.HasPrefix(got, "first\n") || !strings.HasSuffix(got, "xlast\n") || len(got) != len("first\n")+maxRecent {
		t.Errorf("who is slow sees %d bytes: %.20q...", len(got), got)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	c2 := newConsole(ours, nil, nil)
	if err := c2.Copy(gone, io.Discard, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
