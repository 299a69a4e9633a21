package tools

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"n3x/internal/arch"
	"n3x/internal/diag"
	"n3x/internal/sandbox"
)

// exitsOnAMD64 is a whole static program of amd64: ELF header, one segment, `mov eax, 60; xor edi, edi; syscall`.
const exitsOnAMD64 = "7f454c4602010100000000000000000002003e0001000000780040000000000040000000000000000000000000000000000000004000380001000000000000000100000005" +
	"0000000000000000000000000040000000000000004000000000008100000000000000810000000000000000100000000000" + "00" + "b83c00000031ff0f05"

// TestEmulate takes a program that ends at once for the emulator of riscv64.
func TestEmulate(t *testing.T) {
	t.Parallel()
	if arch.Host() != "amd64" {
		t.Skip("the stand-in for an emulator is a program of amd64")
	}
	program, err := hex.DecodeString(exitsOnAMD64)
	if err != nil {
		t.Fatal(err)
	}
	r := newRepo(t)
	r.add("Package: qemu-user; Version: 1", "usr/bin/qemu-riscv64="+string(program), "usr/bin/qemu-vax=vax", "usr/share/doc/qemu-user/x=x", "usr/bin/qemu-aarch64=#!/bin/sh\n")
	dir := t.TempDir()
	p := r.provider(dir, nil)
	ctx := context.Background()
	if err := p.Emulate(ctx, arch.Host()); err != nil {
		t.Errorf("the host's own: %v", err)
	}
	if err := p.Emulate(ctx, "vax"); err == nil || !strings.Contains(err.Error(), `"vax"`) {
		t.Errorf("unknown: %v", err)
	}
	err = p.Emulate(ctx, "riscv64")
	if refused := (*sandbox.NoEmulation)(nil); errors.As(err, &refused) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := sandbox.Runs(ctx, "riscv64", t.TempDir()); err != nil {
		t.Error(err)
	}
	kept, err := filepath.Glob(filepath.Join(dir, "tools/emulators/*/*"))
	if err != nil || len(kept) != 2 || filepath.Base(kept[1]) != "qemu-riscv64" {
		t.Errorf("unpacked %v, %v", kept, err)
	}
	// What is unpacked is used by the next process without an archive.
	if err := os.RemoveAll(r.dir); err != nil {
		t.Fatal(err)
	}
	if file, err := r.provider(dir, nil).emulator(ctx, "riscv64"); err != nil || file != kept[1] {
		t.Errorf("%q, %v", file, err)
	}
	if err := p.Emulate(ctx, "arm64"); err == nil || !strings.Contains(err.Error(), "no 64-bit program") {
		t.Errorf("a script as emulator: %v", err)
	}
	if err := p.Emulate(ctx, "armhf"); err == nil {
		t.Error("an emulator that the package does not have")
	}
}

func TestCannotEmulate(t *testing.T) {
	t.Parallel()
	err := cannotEmulate("arm64", &sandbox.NoEmulation{Op: "mount binfmt_misc", Err: errors.New("needs Linux 6.7, and this is 6.1")})
	var d *diag.Error
	if !errors.As(err, &d) || !strings.Contains(d.Text, "needs Linux 6.7") || !strings.Contains(d.Hint, "apt-get install qemu-user-static") || len(d.Notes) != 1 {
		t.Errorf("%v", err)
	}
}
