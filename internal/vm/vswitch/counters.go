package vswitch

import (
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
)

// Reason is why a frame was dropped.
type Reason int

// Reasons at the port where a frame comes in, and, from Partitioned on, at the port where it would leave; but at the first one when it
// was lost by [Port.ImpairIn].
const (
	passed         Reason = iota
	TooShort              // shorter than its header
	TooLong               // longer than a frame can be
	Reserved              // for the bridge itself, such as spanning tree or LACP
	TaggedOnAccess        // a VLAN's tag where only untagged frames are
	Untagged              // no tag on a trunk without a native VLAN
	WrongVLAN             // of a VLAN that the port is not in
	NoReceiver            // no other port is in the VLAN
	SamePort              // the receiver is where the frame comes from
	PortDown              // [Port.SetUp]
	Partitioned           // [Switch.Partition]
	Lost                  // [Condition.Loss]
	QueueFull             // the machine does not take frames fast enough, or a slow link has too many
	Unplugged             // the machine is gone
	reasons
)

var reasonNames = [reasons]string{"passed", "too short", "too long", "reserved address", "tagged on an access port", "untagged on a trunk", "wrong VLAN",
	"no receiver", "receiver on the same port", "port down", "partitioned", "lost", "queue full", "unplugged"}

// Reasons are all reasons.
func Reasons() iter.Seq[Reason] {
	return func(yield func(Reason) bool) {
		for r := passed + 1; r < reasons && yield(r); r++ {
		}
	}
}

// String is the reason in words.
func (r Reason) String() string {
	if r < 0 || r >= reasons {
		return fmt.Sprintf("reason %d", int(r))
	}
	return reasonNames[r]
}

// Counters are what a port has seen.
type Counters struct {
	Received, Sent           uint64 // frames, seen from the switch
	ReceivedBytes, SentBytes uint64
	Dropped                  map[Reason]uint64 // without zeros
}

// String is one line.
func (c Counters) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "received %d (%d bytes), sent %d (%d bytes)", c.Received, c.ReceivedBytes, c.Sent, c.SentBytes)
	for r := range reasons {
		if n := c.Dropped[r]; n > 0 {
			fmt.Fprintf(&b, ", %s: %d", r, n)
		}
	}
	return b.String()
}

// Counters gives what the port has seen so far.
func (p *Port) Counters() Counters {
	c := Counters{Received: p.count.in.Load(), Sent: p.count.out.Load(), ReceivedBytes: p.count.inBytes.Load(), SentBytes: p.count.outBytes.Load(), Dropped: map[Reason]uint64{}}
	for r := range reasons {
		if n := p.count.dropped[r].Load(); n > 0 {
			c.Dropped[r] = n
		}
	}
	return c
}

type counters struct {
	in, inBytes, out, outBytes atomic.Uint64
	dropped                    [reasons]atomic.Uint64
}

func (c *counters) received(size int) { c.in.Add(1); c.inBytes.Add(uint64(size)) }
func (c *counters) sent(size int)     { c.out.Add(1); c.outBytes.Add(uint64(size)) }
func (c *counters) drop(r Reason)     { c.dropped[r].Add(1) }
func (c *counters) dropAll(r Reason, n int) {
	c.dropped[r].Add(uint64(n))
}
