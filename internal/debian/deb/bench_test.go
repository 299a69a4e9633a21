package deb

import (
	"bytes"
	"context"
	"io"
	"os"
	"testing"
)

func BenchmarkWriteSmall(b *testing.B) {
	for b.Loop() {
		if err := Write(io.Discard, demo()); err != nil {
			b.Fatal(err)
		}
	}
}

// N3X_BENCH_DEB=some.deb go test -bench Unpack
func BenchmarkUnpack(b *testing.B) {
	name := os.Getenv("N3X_BENCH_DEB")
	if name == "" {
		b.Skip("N3X_BENCH_DEB names no package")
	}
	data, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		d, err := Open(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			b.Fatal(err)
		}
		if err := d.Unpack(context.Background(), b.TempDir(), UnpackOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
