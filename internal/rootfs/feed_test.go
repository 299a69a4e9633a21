package rootfs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"n3x/internal/debian/deb"
)

// compressed is a package as archives have it: xz, several members' sizes odd.
func compressed(t *testing.T, name string, mtime time.Time) Deb {
	t.Helper()
	d := writeDeb(t, t.TempDir(), debSpec{name: name, time: mtime})
	f := must1(os.Create(d.Path))
	defer f.Close()
	c := deb.Contents{Control: []deb.ControlFile{{Name: "control", Mode: 0o644, Data: []byte("Package: " + name + "\nVersion: 1\nArchitecture: amd64\nMaintainer: x <x@x>\nDescription: x\n")}, {Name: "postinst", Mode: 0o755, Data: []byte("#!/bin/sh\n")}}, ModTime: mtime}
	if err := deb.Write(f, c); err != nil {
		t.Fatal(err)
	}
	d.Package.SHA256 = must1(fileDigest(d.Path))
	return d
}

func TestDecompressKeepsTheContent(t *testing.T) {
	d, cache := compressed(t, "p", packaged), t.TempDir()
	for range 2 { // the second time it is there
		if err := Decompress(context.Background(), cache, d); err != nil {
			t.Fatal(err)
		}
	}
	before, after := must1(deb.OpenFile(d.Path)), must1(deb.OpenFile(filepath.Join(cache, copyName(d))))
	defer before.Close()
	defer after.Close()
	if diff := cmp.Diff(must1(before.Control()), must1(after.Control())); diff != "" {
		t.Errorf("control files (-before +after):\n%s", diff)
	}
	if !bytes.Equal(must1(io.ReadAll(must1(before.Data()))), must1(io.ReadAll(must1(after.Data())))) {
		t.Error("data.tar differs")
	}
	raw := must1(os.ReadFile(filepath.Join(cache, copyName(d))))
	if !bytes.Contains(raw, []byte("data.tar        0")) || bytes.Contains(raw, []byte("data.tar.xz")) {
		t.Error("the copy is compressed")
	}
}

func TestNewest(t *testing.T) {
	old, young := compressed(t, "old", packaged), compressed(t, "young", packaged.Add(time.Hour))
	if got := must1(newest([]Deb{young, old})); !got.Equal(packaged.Add(time.Hour)) {
		t.Errorf("newest = %v", got)
	}
	must(t, os.WriteFile(old.Path, []byte("!<arch>\nshort"), 0o644))
	if _, err := newest([]Deb{old}); err == nil {
		t.Error("a damaged package has a time")
	}
}

func TestFeedStops(t *testing.T) {
	good, bad := compressed(t, "good", packaged), compressed(t, "bad", packaged)
	must(t, os.Truncate(bad.Path, 80))
	f := startFeed(context.Background(), t.TempDir(), []Deb{good, bad})
	if err := f.wait([]Deb{good, bad}); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("wait for a damaged package: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := startFeed(ctx, t.TempDir(), []Deb{good}).wait([]Deb{good}); !errors.Is(err, context.Canceled) {
		t.Errorf("wait when cancelled: %v", err)
	}
}
