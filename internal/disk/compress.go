// SPDX-License-Identifier: MIT

package disk

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"n3x/internal/atomicfile"
	"n3x/internal/diag"
)

// CompressOptions describe a conversion of an image.
type CompressOptions struct {
	Type    string // "gz", "xz" or "zst": ISAR's IMAGE_CONVERSIONS
	Input   string
	Output  string // usually Input + "." + Type
	Level   int    // 0 = gz 8 (its 9 too), xz 6, zst 3
	Threads int    // 0 = one for each processor, at most 4. The output does not depend on it
	Runner  Runner // for xz
}

// Compress writes a compressed copy of a file.
func Compress(ctx context.Context, o CompressOptions) error {
	if o.Threads <= 0 {
		o.Threads = min(runtime.GOMAXPROCS(0), 4)
	}
	in, err := os.Open(o.Input)
	if err != nil {
		return err
	}
	defer in.Close()
	var pack func(io.Writer) error
	switch o.Type {
	case "gz":
		pack = func(w io.Writer) error { return gzipTo(ctx, w, in, o) }
	case "zst":
		pack = func(w io.Writer) error { return zstdTo(ctx, w, in, o) }
	case "xz":
		pack = func(w io.Writer) error { return o.xz(ctx, w) }
	default:
		return diag.Userf(diag.Pos{}, "conversion %q of %s is not supported", o.Type, filepath.Base(o.Input)).WithHint("possible are gz, xz and zst")
	}
	return atomicfile.WriteFrom(o.Output, 0o644, pack)
}

// xz runs the tools tree's program in its multi-threaded mode also for one thread: only then the output is the same.
// Blocks of 8 MiB bound what it needs at level 6 to 110 MiB a thread.
func (o CompressOptions) xz(ctx context.Context, w io.Writer) error {
	if o.Level == 0 {
		o.Level = 6
	}
	dir, base := filepath.Split(o.Input)
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if o.Runner == nil {
		return fmt.Errorf("no tools tree to run xz in")
	}
	return o.Runner.Run(ctx, Command{
		Packages: []string{"xz-utils"},
		Argv: []string{"xz", "-c", "-z", fmt.Sprintf("-%d", o.Level), fmt.Sprintf("--threads=+%d", o.Threads),
			"--block-size=8MiB", "--", mountPoint + "/" + base},
		Stdout: w,
		Binds:  []Bind{{Source: abs, Target: mountPoint, ReadOnly: true}},
	})
}

// zstdFrame is how much input each zstd frame holds.
const zstdFrame = 8 << 20

// zstdTo writes one frame for every 8 MiB of input: decompressors read them as one stream (RFC 8878, section 3.1).
func zstdTo(ctx context.Context, w io.Writer, r io.Reader, o CompressOptions) error {
	level := zstd.SpeedDefault
	if o.Level != 0 {
		level = zstd.EncoderLevelFromZstd(o.Level)
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(o.Threads), zstd.WithEncoderCRC(true))
	if err != nil {
		return err
	}
	defer enc.Close()
	next := func() ([]byte, error) { return readFull(r, make([]byte, zstdFrame)) }
	empty := true
	err = parallel(ctx, o.Threads, next, func(block []byte) ([]byte, error) {
		return enc.EncodeAll(block, nil), nil
	}, func(_, packed []byte) error {
		empty = false
		_, err := w.Write(packed)
		return err
	})
	if err == nil && empty {
		_, err = w.Write(enc.EncodeAll(nil, nil))
	}
	return err
}

// gzipBest is the strongest useful level: the library's 9 gains half a percent, and on runs of zeros, of which disk images
// are full, it is a thousand times slower.
const gzipBest = 8

// gzipTo writes one gzip member (RFC 1952) whose deflate stream restarts at places that the content chooses, so that a
// small change of the input changes little of the output, as with gzip --rsyncable.
func gzipTo(ctx context.Context, w io.Writer, r io.Reader, o CompressOptions) error {
	if o.Level <= 0 || o.Level > gzipBest {
		o.Level = gzipBest
	}
	if _, err := w.Write([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3}); err != nil {
		return err
	}
	c := newChunker(r)
	crc, size := uint32(0), uint32(0)
	err := parallel(ctx, o.Threads, c.next, func(block []byte) ([]byte, error) {
		return deflate(block, o.Level, false)
	}, func(block, packed []byte) error {
		crc = crc32.Update(crc, crc32.IEEETable, block)
		size += uint32(len(block))
		_, err := w.Write(packed)
		return err
	})
	if err != nil {
		return err
	}
	end, err := deflate(nil, o.Level, true)
	if err != nil {
		return err
	}
	trailer := []byte{byte(crc), byte(crc >> 8), byte(crc >> 16), byte(crc >> 24), byte(size), byte(size >> 8), byte(size >> 16), byte(size >> 24)}
	_, err = w.Write(append(end, trailer...))
	return err
}

// readFull fills buf as far as r goes; io.EOF means that nothing was left.
func readFull(r io.Reader, buf []byte) ([]byte, error) {
	n, err := io.ReadFull(r, buf)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return buf[:n], err
}

// parallel packs the blocks that next gives on several threads and hands the results over in order. No more than
// twice as many blocks as threads are in memory.
func parallel(ctx context.Context, threads int, next func() ([]byte, error), pack func([]byte) ([]byte, error), write func(block, packed []byte) error) error {
	type job struct {
		block, packed []byte
		done          chan struct{}
	}
	g, ctx := errgroup.WithContext(ctx)
	queue := make(chan *job, threads)
	work := make(chan *job)
	g.Go(func() error {
		defer close(queue)
		defer close(work)
		for {
			block, err := next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			j := &job{block: block, done: make(chan struct{})}
			for _, ch := range []chan *job{queue, work} {
				select {
				case ch <- j:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
	})
	for range threads {
		g.Go(func() error {
			for j := range work {
				var err error
				if j.packed, err = pack(j.block); err != nil {
					return err
				}
				close(j.done)
			}
			return nil
		})
	}
	g.Go(func() error {
		for j := range queue {
			select {
			case <-j.done:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := write(j.block, j.packed); err != nil {
				return err
			}
		}
		return nil
	})
	return g.Wait()
}
