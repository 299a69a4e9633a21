package vswitch

import (
	"testing"
	"time"
)

// BenchmarkThroughput carries full frames between two ports; MB/s is what arrives. The test's own reading and writing, one system call
// a frame, is part of it: `go test -cpu 1` shares one core among all.
func BenchmarkThroughput(b *testing.B) {
	s := New("bench", 1)
	defer s.Close()
	_, from, err := s.Plug(PortConfig{Name: "a"})
	if err != nil {
		b.Fatal(err)
	}
	_, to, err := s.Plug(PortConfig{Name: "b"})
	if err != nil {
		b.Fatal(err)
	}
	defer from.Close()
	frame := ether(2, 1, -1, string(make([]byte, 1500)))
	b.SetBytes(int64(len(frame)))
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2000)
		for range b.N {
			_ = to.SetReadDeadline(time.Now().Add(5 * time.Second))
			if _, err := to.Read(buf); err != nil {
				return
			}
		}
	}()
	b.ResetTimer()
	for range b.N {
		if _, err := from.Write(frame); err != nil {
			b.Fatal(err)
		}
	}
	<-done
	b.StopTimer()
	to.Close()
}

// BenchmarkRoundTrip is two passes through the switch; compare with BenchmarkRoundTripCable, which has none.
func BenchmarkRoundTrip(b *testing.B) {
	s := New("bench", 1)
	defer s.Close()
	_, x, err := s.Plug(PortConfig{Name: "a"})
	if err != nil {
		b.Fatal(err)
	}
	_, y, err := s.Plug(PortConfig{Name: "b"})
	if err != nil {
		b.Fatal(err)
	}
	bounce(b, x, y)
}

// BenchmarkRoundTripCable is a cable between the two without a switch.
func BenchmarkRoundTripCable(b *testing.B) {
	x, y, err := Cable()
	if err != nil {
		b.Fatal(err)
	}
	bounce(b, x, y)
}

type cable interface {
	Read([]byte) (int, error)
	Write([]byte) (int, error)
	Close() error
}

func bounce(b *testing.B, x, y cable) {
	there, back := ether(2, 1, -1, "x"), ether(1, 2, -1, "x")
	go func() {
		buf := make([]byte, 2000)
		for {
			if _, err := y.Read(buf); err != nil {
				return
			}
			if _, err := y.Write(back); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 2000)
	b.ResetTimer()
	for range b.N {
		if _, err := x.Write(there); err != nil {
			b.Fatal(err)
		}
		if _, err := x.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	y.Close()
	x.Close()
}
