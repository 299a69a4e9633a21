package sandbox

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// hostMachine is the name of the machine that the tests run on.
func hostMachine(t *testing.T) string {
	name := map[string]string{"amd64": "x86_64", "arm64": "aarch64", "riscv64": "riscv64"}[runtime.GOARCH]
	if name == "" {
		t.Skipf("no 64-bit machine that package sandbox knows: %s", runtime.GOARCH)
	}
	return name
}

// writeProgram writes a file that may be executed.
func writeProgram(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// playEmulate prints whether programs of a machine run before and after an interpreter is registered, the latter three times: the
// interpreter is deleted before the last. arg is "MACHINE INTERPRETER".
func playEmulate(arg string) int {
	name, interpreter, _ := strings.Cut(arg, " ")
	ctx := context.Background()
	calls := 0
	get := func() (string, error) { calls++; return interpreter, nil }
	runs := func() { fmt.Print(Runs(ctx, name, os.Getenv("TMPDIR")) == nil, " "); ran.Clear() }
	runs()
	for range 2 {
		if err := Emulate(name, get); err != nil {
			fmt.Println(err)
			return 1
		}
		runs()
	}
	_ = os.Remove(interpreter)
	runs()
	fmt.Println(calls)
	return 0
}

// TestEmulate registers a program of this machine that only exits with status 0 as the emulator of a machine that this one surely
// cannot run.
func TestEmulate(t *testing.T) {
	t.Parallel()
	if !newer(6, 7) {
		t.Skip("needs Linux 6.7")
	}
	if _, err := unix.Fsopen("binfmt_misc", unix.FSOPEN_CLOEXEC); errors.Is(err, unix.ENODEV) {
		t.Skip("the kernel has no binfmt_misc")
	}
	foreign := "riscv64"
	if runtime.GOARCH == foreign {
		foreign = "aarch64"
	}
	before := hostRegistrations(t)
	emulator := writeProgram(t, "emulator with a:colon", machines[hostMachine(t)].program())
	cmd := program(t, "enter emulate "+foreign+" "+emulator)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	native := "false"
	if strings.Contains(before, "qemu-"+foreign) {
		native = "true" // this host's administrator has registered one
	}
	if want := native + " true true true 1\n"; string(out) != want {
		t.Errorf("%q, want %q", out, want)
	}
	if after := hostRegistrations(t); after != before {
		t.Errorf("the registrations of the host changed from %q to %q", before, after)
	}
}

// hostRegistrations are the names in the binfmt_misc of the namespace that the tests run in.
func hostRegistrations(t *testing.T) string {
	entries, err := os.ReadDir("/proc/sys/fs/binfmt_misc")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return fmt.Sprint(entries)
}

func TestEmulateRefuses(t *testing.T) {
	t.Parallel()
	host := machines[hostMachine(t)].program()
	le := binary.LittleEndian
	dynamic := append(append([]byte{}, host...), make([]byte, 64)...)
	le.PutUint32(dynamic[64:], 3) // PT_INTERP
	wild := append(append([]byte{}, host...), make([]byte, 64)...)
	le.PutUint64(wild[32:], 1<<60)
	other := "riscv64"
	if runtime.GOARCH == other {
		other = "aarch64"
	}
	for _, tt := range []struct {
		name, path, want string
	}{
		{"missing", "/nonexistent/qemu", "no such file"},
		{"relative", "qemu", "not absolute"},
		{"script", writeProgram(t, "q", []byte("#!/bin/sh\n")), "no 64-bit program"},
		{"empty", writeProgram(t, "q", nil), "no 64-bit program"},
		{"folder", t.TempDir(), "no 64-bit program"},
		{"itself", writeProgram(t, "q", machines[other].program()), "itself a program of that machine"},
		{"dynamic", writeProgram(t, "q", dynamic), "not linked statically"},
		{"wild", writeProgram(t, "q", wild), "program headers"},
	} {
		if err := machines[other].checkInterpreter(tt.path); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if err := machines[other].checkInterpreter(writeProgram(t, "q", host)); err != nil {
		t.Error(err)
	}
	if err := Emulate("vax", nil); err == nil || !strings.Contains(err.Error(), `"vax"`) {
		t.Error(err)
	}
	if err := Runs(context.Background(), "vax", t.TempDir()); err == nil || !strings.Contains(err.Error(), `"vax"`) {
		t.Error(err)
	}
}

// TestEmulatePlain is a process that Enter gave no user namespace: it must not touch the registrations of the one that it is in.
func TestEmulatePlain(t *testing.T) {
	t.Parallel()
	cmd := program(t, "emulate riscv64 /bin/true")
	cmd.Env = append(cmd.Env, stageVar+"="+stagePlain)
	out, err := cmd.Output()
	if err == nil || !strings.Contains(string(out), "no user namespace of its own") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestRuns starts the tiny program that stands for a machine on the machine itself.
func TestRuns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := Runs(context.Background(), hostMachine(t), dir); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}
