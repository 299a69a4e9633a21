package fetch

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"github.com/ulikunitz/xz/lzma"
)

// lzipReader reads the lzip format: members, each a header ("LZIP", version 1, dictionary size), an LZMA stream with an end
// marker, and a trailer with the CRC-32 and size of its data and its own size.
type lzipReader struct {
	in     *bufio.Reader
	member *lzma.Reader
	crc    uint32
	size   uint64
	any    bool
}

func newLzipReader(r io.Reader) *lzipReader { return &lzipReader{in: bufio.NewReaderSize(r, 64<<10)} }

func (z *lzipReader) Read(b []byte) (int, error) {
	for {
		if z.member == nil {
			if err := z.next(); err != nil {
				return 0, err
			}
		}
		n, err := z.member.Read(b)
		z.crc, z.size = crc32.Update(z.crc, crc32.IEEETable, b[:n]), z.size+uint64(n)
		if err == io.EOF {
			z.member = nil
			if err = z.trailer(); err == nil && n == 0 {
				continue
			}
		}
		return n, err
	}
}

// next opens the next member; bytes behind the last one that are no member are left alone, as lzip does.
func (z *lzipReader) next() error {
	head, err := z.in.Peek(6)
	if z.any && len(head) > 0 && len(head) < 6 && strings.HasPrefix("LZIP\x01", string(head)) {
		return fmt.Errorf("read lzip: %w", io.ErrUnexpectedEOF)
	}
	if z.any && (err != nil || string(head[:4]) != "LZIP") {
		return io.EOF
	}
	if err != nil || string(head[:4]) != "LZIP" || head[4] != 1 {
		return errors.New("not an lzip file")
	}
	bits, fraction := head[5]&31, head[5]>>5
	if bits < 12 || bits > 29 {
		return fmt.Errorf("lzip dictionary of 2^%d bytes", bits)
	}
	dictionary := uint32(1) << bits
	dictionary -= dictionary / 16 * uint32(fraction)
	if _, err := z.in.Discard(6); err != nil {
		return err
	}
	// What lzip leaves out because it never changes: lc=3, lp=0, pb=2, and that the size is not known before.
	header := binary.LittleEndian.AppendUint32([]byte{0x5d}, dictionary)
	header = append(header, 255, 255, 255, 255, 255, 255, 255, 255)
	z.member, err = lzma.NewReader(&withHeader{header, z.in})
	z.crc, z.size, z.any = 0, 0, true
	return err
}

func (z *lzipReader) trailer() error {
	var t [20]byte
	if _, err := io.ReadFull(z.in, t[:]); err != nil {
		return fmt.Errorf("read lzip: %w", io.ErrUnexpectedEOF)
	}
	if binary.LittleEndian.Uint32(t[:]) != z.crc || binary.LittleEndian.Uint64(t[4:]) != z.size {
		return errors.New("read lzip: checksum mismatch")
	}
	return nil
}

// withHeader reads a few bytes before another reader, byte by byte, so that nothing behind the stream is read.
type withHeader struct {
	header []byte
	in     *bufio.Reader
}

func (h *withHeader) ReadByte() (byte, error) {
	if len(h.header) > 0 {
		c := h.header[0]
		h.header = h.header[1:]
		return c, nil
	}
	return h.in.ReadByte()
}

func (h *withHeader) Read(b []byte) (int, error) {
	if len(h.header) > 0 {
		n := copy(b, h.header)
		h.header = h.header[n:]
		return n, nil
	}
	return h.in.Read(b)
}
