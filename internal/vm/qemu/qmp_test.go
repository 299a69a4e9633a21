package qemu

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"testing"
	"time"
)

// The time limit of one request does not end later ones.
func TestQMPDeadline(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	go func() {
		lines := bufio.NewScanner(theirs)
		for n := 1; lines.Scan(); n++ {
			fmt.Fprintf(theirs, `{"return": {}, "id": %d}`+"\n", n)
		}
	}()
	q := newQMP(ours)
	go q.receive()
	short, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	ended := make(chan struct{})
	if err := q.execute(short, ended, "first", nil, nil); err != nil {
		t.Fatal(err)
	}
	<-short.Done()
	if err := q.execute(t.Context(), ended, "second", nil, nil); err != nil {
		t.Error(err)
	}
}
