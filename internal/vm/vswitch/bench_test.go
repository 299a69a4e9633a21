package vswitch

import (
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkThroughput carries full frames between two ports, BenchmarkForwarder between two cables by a loop that reads and writes, one system
// call a frame, and BenchmarkCable over one cable. Gbit/s is by the clock; cpu-µs/frame is what all of it takes of processors, also
// where others take most of them; what a cable takes is the test's own part.
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
	pump(b, from, to)
}

// BenchmarkForwarder is the simplest program in a switch's place.
func BenchmarkForwarder(b *testing.B) {
	from, in, err := Cable()
	if err != nil {
		b.Fatal(err)
	}
	out, to, err := Cable()
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2000)
		for {
			n, err := in.Read(buf)
			if err != nil {
				return
			}
			if _, err := out.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	pump(b, from, to)
	in.Close()
	out.Close()
	<-done
}

// BenchmarkCable is no switch at all.
func BenchmarkCable(b *testing.B) {
	from, to, err := Cable()
	if err != nil {
		b.Fatal(err)
	}
	pump(b, from, to)
}

// window is how many frames are on their way: a machine's TCP, too, waits for answers.
const window = 256

// pump sends b.N full frames as fast as they arrive.
func pump(b *testing.B, from, to *os.File) {
	frame := ether(2, 1, -1, string(make([]byte, 1500)))
	in, err := to.SyscallConn()
	if err != nil {
		b.Fatal(err)
	}
	out, err := from.SyscallConn()
	if err != nil {
		b.Fatal(err)
	}
	room := make(chan struct{}, 1)
	var arrived atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		box := newInbox()
		for arrived.Load() < int64(b.N) {
			n, err := box.read(in)
			if err != nil {
				return
			}
			arrived.Add(int64(n))
			select {
			case room <- struct{}{}:
			default:
			}
		}
	}()
	frames := make([]wire, batchSize)
	for i := range frames {
		frames[i] = wire{frame}
	}
	var s sender
	start, used := time.Now(), processorTime()
	b.ResetTimer()
	for sent := int64(0); sent < int64(b.N); {
		free := arrived.Load() + window - sent
		if free <= 0 {
			<-room
			continue
		}
		n, err := s.wait(out, frames[:min(free, int64(b.N)-sent, batchSize)])
		if err != nil {
			b.Fatal(err)
		}
		sent += int64(n)
	}
	<-done
	b.StopTimer()
	bits := float64(b.N) * float64(len(frame)) * 8
	b.ReportMetric(bits/time.Since(start).Seconds()/1e9, "Gbit/s")
	b.ReportMetric(float64((processorTime()-used).Microseconds())/float64(b.N), "cpu-µs/frame")
	from.Close()
	to.Close()
}

// processorTime is what the process has used so far.
func processorTime() time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
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
