// SPDX-License-Identifier: MIT

package disk_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"n3x/internal/disk"
)

// sample is a file that compresses partly, with a run of zeros.
func sample(t testing.TB, size int) (path string, data []byte) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	data = make([]byte, size)
	for i := range data {
		if i < size/3 || i > size/2 {
			data[i] = byte(i >> 8)
			if i%64 == 0 {
				data[i] = byte(r.IntN(256))
			}
		}
	}
	path = filepath.Join(t.TempDir(), "sample")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path, data
}

func TestCompress(t *testing.T) {
	readers := map[string]func(io.Reader) (io.Reader, error){
		"gz":  func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		"xz":  func(r io.Reader) (io.Reader, error) { return xz.NewReader(r) },
		"zst": func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r) },
	}
	for kind, open := range readers {
		for _, size := range []int{0, 1, 300 << 10, 10<<20 + 17} {
			t.Run(fmt.Sprintf("%s/%d", kind, size), func(t *testing.T) {
				in, want := sample(t, size)
				o := disk.CompressOptions{Type: kind, Input: in}
				if kind == "xz" {
					o.Level = 1
					o.Runner = treeRunner{toolsTree(t)}
				}
				var sums []string
				for _, threads := range []int{1, 3} {
					o.Threads, o.Output = threads, fmt.Sprintf("%s.%d", in, threads)
					if err := disk.Compress(context.Background(), o); err != nil {
						t.Fatal(err)
					}
					sums = append(sums, sum(t, o.Output))
				}
				if sums[0] != sums[1] {
					t.Error("the output depends on the number of threads")
				}
				f, err := os.Open(o.Output)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				r, err := open(f)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(r)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("read back %d bytes, %v; want %d", len(got), err, len(want))
				}
			})
		}
	}
}

// TestGzipLocal checks that an insertion near the start leaves most of the output as it was.
func TestGzipLocal(t *testing.T) {
	in, data := sample(t, 16<<20)
	changed := in + "2"
	if err := os.WriteFile(changed, append([]byte("inserted"), data...), 0o644); err != nil {
		t.Fatal(err)
	}
	var out [2][]byte
	for i, name := range []string{in, changed} {
		o := disk.CompressOptions{Type: "gz", Input: name, Output: name + ".gz"}
		if err := disk.Compress(context.Background(), o); err != nil {
			t.Fatal(err)
		}
		out[i], _ = os.ReadFile(o.Output)
	}
	same := 0
	for same < min(len(out[0]), len(out[1]))-8 && out[0][len(out[0])-9-same] == out[1][len(out[1])-9-same] {
		same++
	}
	if same < len(out[0])*3/4 {
		t.Errorf("only %d of %d bytes stayed the same", same, len(out[0]))
	}
}

func TestCompressRefuses(t *testing.T) {
	in, _ := sample(t, 10)
	err := disk.Compress(context.Background(), disk.CompressOptions{Type: "zck", Input: in, Output: in + ".zck"})
	if err == nil || !strings.Contains(err.Error(), `conversion "zck"`) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(in + ".zck"); err == nil {
		t.Error("a file was left")
	}
}

func TestWriteImageTwice(t *testing.T) {
	for _, kind := range []string{"tar", "cpio", "ext4", "squashfs", "erofs"} {
		t.Run(kind, func(t *testing.T) {
			o := disk.ImageOptions{Type: kind, Name: "image", Epoch: epoch, SizeKiB: 64 << 10, Exclude: []string{"boot/"}}
			if kind != "tar" && kind != "cpio" {
				o.Runner = treeRunner{toolsTree(t)}
			}
			var sums []string
			for salt := range 2 {
				o.Rootfs, o.Output = rootfs(t, salt*2), filepath.Join(t.TempDir(), "image."+kind)
				if err := disk.WriteImage(context.Background(), o); err != nil {
					t.Fatal(err)
				}
				sums = append(sums, sum(t, o.Output))
				if left, _ := os.ReadDir(filepath.Dir(o.Output)); len(left) != 1 {
					t.Errorf("beside the image there are %v", left)
				}
			}
			if sums[0] != sums[1] {
				t.Error("two images differ")
			}
			if kind == "ext4" {
				o.Runner.(treeRunner).check(t, "e2fsck", "-fn", o.Output)
			}
		})
	}
}

func TestTarImage(t *testing.T) {
	o := disk.ImageOptions{Type: "tar", Rootfs: rootfs(t, 0), Output: filepath.Join(t.TempDir(), "x.tar"), Epoch: epoch}
	if err := disk.WriteImage(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(o.Output)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var names []string
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.ModTime.Unix() > epoch {
			t.Errorf("%s has the time %v", h.Name, h.ModTime)
		}
		names = append(names, h.Name)
	}
	if got := strings.Join(names[:5], " "); got != "./ ./boot/ ./boot/grub/ ./boot/grub/grubenv ./boot/initrd.img-6.1.0-1-amd64" {
		t.Errorf("the archive begins with %s", got)
	}
}

func TestImageRefuses(t *testing.T) {
	for want, o := range map[string]disk.ImageOptions{
		`"ubifs" cannot be made`: {Type: "ubifs"},
		"is too small for":       {Type: "ext4", SizeKiB: 1000},
	} {
		o.Rootfs, o.Output = rootfs(t, 0), filepath.Join(t.TempDir(), "x")
		if err := disk.WriteImage(context.Background(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", o.Type, err, want)
		}
	}
}
