package vswitch

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"time"
)

// capture is a file with frames in libpcap's format (pcap-savefile(5)), with times in nanoseconds.
type capture struct {
	mu   sync.Mutex
	file *os.File
	w    *bufio.Writer
	err  error
}

// Values of pcap-savefile(5).
const (
	pcapNanoMagic = 0xa1b23c4d
	linkEthernet  = 1
)

// Capture writes all frames that come and go at the port to a new file, until StopCapture or Unplug.
func (p *Port) Capture(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("capture frames: %w", err)
	}
	c := &capture{file: f, w: bufio.NewWriterSize(f, 1<<16)}
	head := binary.LittleEndian.AppendUint32(nil, pcapNanoMagic)
	head = binary.LittleEndian.AppendUint16(head, 2)
	head = binary.LittleEndian.AppendUint16(head, 4)
	head = append(head, make([]byte, 8)...)
	head = binary.LittleEndian.AppendUint32(head, maxFrame)
	head = binary.LittleEndian.AppendUint32(head, linkEthernet)
	_, c.err = c.w.Write(head)
	if old := p.capture.Swap(c); old != nil {
		return old.close()
	}
	return nil
}

// StopCapture ends a capture and gives the first error that it had, such as a full disk.
func (p *Port) StopCapture() error {
	if c := p.capture.Swap(nil); c != nil {
		return c.close()
	}
	return nil
}

func (c *capture) write(now time.Time, w wire) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	var head [16]byte
	binary.LittleEndian.PutUint32(head[0:], uint32(now.Unix()))
	binary.LittleEndian.PutUint32(head[4:], uint32(now.Nanosecond()))
	binary.LittleEndian.PutUint32(head[8:], uint32(w.len()))
	binary.LittleEndian.PutUint32(head[12:], uint32(w.len()))
	for _, part := range [][]byte{head[:], w[0], w[1], w[2]} {
		if _, err := c.w.Write(part); err != nil {
			c.err = err
			return
		}
	}
}

func (c *capture) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.w.Flush()
	if cerr := c.file.Close(); err == nil {
		err = cerr
	}
	if c.err == nil {
		c.err = err
	}
	if c.err != nil {
		return fmt.Errorf("capture frames in %s: %w", c.file.Name(), c.err)
	}
	return nil
}
