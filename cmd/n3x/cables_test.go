package main

import (
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// cables gives n ends of one Ethernet segment, for machines' network cards: what is sent into one comes out of all others.
func cables(t *testing.T, n int) []*os.File {
	t.Helper()
	var ends []*os.File
	var ports []net.Conn
	for range n {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		mine := os.NewFile(uintptr(fds[0]), "cable")
		port, err := net.FileConn(mine)
		mine.Close()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { port.Close() })
		ports = append(ports, port)
		ends = append(ends, os.NewFile(uintptr(fds[1]), "cable"))
	}
	for _, from := range ports {
		go func() {
			frame := make([]byte, 1<<16)
			for {
				size, err := from.Read(frame)
				if err != nil {
					return
				}
				for _, to := range ports {
					if to != from {
						_, _ = to.Write(frame[:size]) // a machine that is gone gets nothing
					}
				}
			}
		}()
	}
	return ends
}
