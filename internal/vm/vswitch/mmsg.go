package vswitch

import (
	"errors"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// batchSize is how many frames one system call carries.
	batchSize = 32
	// maxFrame is the longest frame: a jumbo payload of 9216 bytes, its header and a tag.
	maxFrame = 9216 + headerLen + 4
)

// mmsghdr is C's struct mmsghdr (recvmmsg(2)).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// inbox receives a batch of frames.
type inbox struct {
	data [batchSize][]byte
	iov  [batchSize]unix.Iovec
	msgs [batchSize]mmsghdr
}

func newInbox() *inbox {
	in := &inbox{}
	room := make([]byte, batchSize*maxFrame)
	for i := range in.msgs {
		in.data[i] = room[i*maxFrame : (i+1)*maxFrame]
		in.iov[i].Base = &in.data[i][0]
		in.iov[i].SetLen(maxFrame)
		in.msgs[i].hdr.Iov = &in.iov[i]
		in.msgs[i].hdr.SetIovlen(1)
	}
	return in
}

// read waits for frames and gives how many there are.
func (in *inbox) read(raw syscall.RawConn) (int, error) {
	var n uintptr
	var errno syscall.Errno
	err := raw.Read(func(fd uintptr) bool {
		for {
			n, _, errno = unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&in.msgs[0])), batchSize, unix.MSG_DONTWAIT, 0, 0)
			if errno != unix.EINTR {
				return errno != unix.EAGAIN
			}
		}
	})
	switch {
	case err != nil:
		return 0, err
	case errno != 0:
		return 0, errno
	}
	return int(n), nil
}

// frame is the frame at a position of the batch, and whether it fitted.
func (in *inbox) frame(i int) (data []byte, whole bool) {
	return in.data[i][:in.msgs[i].len], in.msgs[i].hdr.Flags&unix.MSG_TRUNC == 0
}

// sender sends batches of frames.
type sender struct {
	iov  [batchSize][3]unix.Iovec
	msgs [batchSize]mmsghdr
}

// fill points the headers at frames.
func (s *sender) fill(frames []wire) int {
	n := min(len(frames), batchSize)
	for i := range frames[:n] {
		parts := 0
		for _, part := range frames[i] {
			if len(part) > 0 {
				s.iov[i][parts].Base = &part[0]
				s.iov[i][parts].SetLen(len(part))
				parts++
			}
		}
		s.msgs[i].hdr.Iov = &s.iov[i][0]
		s.msgs[i].hdr.SetIovlen(parts)
	}
	return n
}

// errGone says that the other end of the cable is closed.
var errGone = errors.New("the cable is cut")

// attempt sends what the other end takes at once.
func (s *sender) attempt(fd uintptr, frames []wire) (sent int, errno syscall.Errno) {
	for sent < len(frames) {
		n := s.fill(frames[sent:])
		r, _, e := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&s.msgs[0])), uintptr(n), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch {
		case e == unix.EINTR:
		case e != 0:
			return sent, e
		default:
			sent += int(r)
		}
	}
	return sent, 0
}

// send sends what the other end takes at once and gives how many frames that are.
func (s *sender) send(raw syscall.RawConn, frames []wire) (sent int) {
	_ = raw.Control(func(fd uintptr) { sent, _ = s.attempt(fd, frames) })
	return sent
}

// wait sends at least one frame, when the other end takes it.
func (s *sender) wait(raw syscall.RawConn, frames []wire) (sent int, err error) {
	var errno syscall.Errno
	err = raw.Write(func(fd uintptr) bool {
		sent, errno = s.attempt(fd, frames)
		return sent > 0 || errno != unix.EAGAIN
	})
	if err == nil && errno != 0 && errno != unix.EAGAIN {
		err = errGone
	}
	return sent, err
}
