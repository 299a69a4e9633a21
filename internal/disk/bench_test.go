// SPDX-License-Identifier: MIT

package disk_test

import (
	"context"
	"os"
	"testing"

	"n3x/internal/disk"
)

// BenchmarkBuild builds the usual layout from the root file system that N3X_TEST_ROOTFS names.
func BenchmarkBuild(b *testing.B) {
	root := os.Getenv("N3X_TEST_ROOTFS")
	if root == "" {
		b.Skip("N3X_TEST_ROOTFS names no root file system")
	}
	o := options(b, systemdLayout, 0)
	o.Rootfs, o.Runner = root, treeRunner{toolsTree(b)}
	for b.Loop() {
		if _, err := disk.Build(context.Background(), o); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCompress compresses the file that N3X_TEST_IMAGE names.
func BenchmarkCompress(b *testing.B) {
	in := os.Getenv("N3X_TEST_IMAGE")
	if in == "" {
		b.Skip("N3X_TEST_IMAGE names no file")
	}
	st, err := os.Stat(in)
	if err != nil {
		b.Fatal(err)
	}
	for _, kind := range []string{"gz", "zst"} {
		b.Run(kind, func(b *testing.B) {
			b.SetBytes(st.Size())
			o := disk.CompressOptions{Type: kind, Input: in, Output: b.TempDir() + "/x." + kind}
			for b.Loop() {
				if err := disk.Compress(context.Background(), o); err != nil {
					b.Fatal(err)
				}
			}
			if st, err := os.Stat(o.Output); err == nil {
				b.ReportMetric(float64(st.Size())/(1<<20), "MiB")
			}
		})
	}
}
