package vswitch

import (
	"encoding/binary"
	"slices"
	"time"
)

// tpid is the tag protocol identifier of a customer VLAN's tag (IEEE 802.1Q 9.5). Service tags are like any other type here.
const tpid = 0x8100

// Frames are at least an Ethernet header long; machines without a real wire do not pad them to 60 bytes.
const headerLen = 14

// frame is an Ethernet frame inside the switch, where it belongs to a VLAN.
type frame struct {
	data   []byte // as it came
	tagged bool   // data has a tag behind the addresses
	vlan   uint16
	tci    uint16 // priority and drop eligibility, without the VLAN

	// What the cable did to the frame on its way in ([Port.ImpairIn]), which is decided once for all ports where it leaves.
	entered bool
	due     time.Time
	copies  int
}

// vlans are the VLANs of a port.
type vlans struct {
	untagged uint16   // the VLAN of untagged frames; 0 drops them
	tagged   []uint16 // sorted
	access   bool
}

func newVLANs(c PortConfig) *vlans {
	if len(c.Trunk) == 0 && c.Native == 0 {
		if c.Access == 0 {
			c.Access = 1
		}
		return &vlans{untagged: uint16(c.Access), access: true}
	}
	v := &vlans{untagged: uint16(c.Native)}
	for _, id := range c.Trunk {
		if id != c.Native {
			v.tagged = append(v.tagged, uint16(id))
		}
	}
	slices.Sort(v.tagged)
	v.tagged = slices.Compact(v.tagged)
	return v
}

// member reports whether the port is in a VLAN.
func (v *vlans) member(id uint16) bool {
	if id == v.untagged {
		return true
	}
	_, found := slices.BinarySearch(v.tagged, id)
	return found
}

// admit says to which VLAN a frame that came in belongs, or why it goes no further (IEEE 802.1Q 8.6.2 and 6.9).
func (v *vlans) admit(data []byte) (frame, Reason) {
	if len(data) < headerLen {
		return frame{}, TooShort
	}
	if reserved(data) {
		return frame{}, Reserved
	}
	f := frame{data: data, vlan: v.untagged}
	if binary.BigEndian.Uint16(data[12:]) == tpid {
		if len(data) < headerLen+4 {
			return frame{}, TooShort
		}
		f.tagged = true
		tci := binary.BigEndian.Uint16(data[14:])
		f.tci = tci &^ 0xfff
		if id := tci & 0xfff; id != 0 { // 0 says the priority only
			if v.access {
				return frame{}, TaggedOnAccess
			}
			f.vlan = id
		}
	}
	switch {
	case f.vlan == 0:
		return frame{}, Untagged
	case !v.member(f.vlan):
		return frame{}, WrongVLAN
	}
	return f, passed
}

// reserved tells frames that no bridge forwards (IEEE 802.1Q table 8-1).
func reserved(data []byte) bool {
	return data[0] == 0x01 && data[1] == 0x80 && data[2] == 0xc2 && data[3] == 0 && data[4] == 0 && data[5] < 0x10
}

// emit gives a frame the form in which it leaves a port.
func (v *vlans) emit(f *frame) wire {
	rest := f.data[12:]
	if f.tagged {
		rest = f.data[16:]
	}
	if f.vlan == v.untagged {
		if !f.tagged {
			return wire{f.data}
		}
		return wire{f.data[:12], rest}
	}
	if f.tagged && binary.BigEndian.Uint16(f.data[14:])&0xfff == f.vlan {
		return wire{f.data}
	}
	tag := make([]byte, 4)
	binary.BigEndian.PutUint16(tag, tpid)
	binary.BigEndian.PutUint16(tag[2:], f.tci|f.vlan)
	return wire{f.data[:12], tag, rest}
}

// wire is a frame in up to three pieces, as it goes over a cable. It shares memory with the frame that came in.
type wire [3][]byte

func (w *wire) len() int { return len(w[0]) + len(w[1]) + len(w[2]) }

// copy is a wire with memory of its own.
func (w *wire) copy() wire {
	return wire{slices.Concat(w[0], w[1], w[2])}
}
