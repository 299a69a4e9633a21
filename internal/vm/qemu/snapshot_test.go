package qemu

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"n3x/internal/arch"
)

// saving is a machine whose state can be saved, with all devices that labs use.
func saving(t *testing.T, a arch.Arch) Machine {
	t.Helper()
	disk := filepath.Join(t.TempDir(), "disk.wic")
	if err := os.WriteFile(disk, bytes.Repeat([]byte("n3x "), 1<<18), 0o444); err != nil {
		t.Fatal(err)
	}
	overlay, err := NewOverlay(t.TempDir(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { overlay.Close() })
	return Machine{Arch: a, Kernel: stuckKernel(t), Memory: 64, Display: true, Channels: []string{"org.qemu.guest_agent.0"},
		Disks: []Disk{{Path: disk, Overlay: overlay}}, NICs: []NIC{{User: &UserNet{Restrict: true}}}}
}

// TestSaveLoad: a state can be put back in the same QEMU and in another one, more than once, until it is forgotten.
func TestSaveLoad(t *testing.T) {
	t.Parallel()
	for _, a := range []arch.Arch{"amd64", "arm64"} {
		t.Run(string(a), func(t *testing.T) {
			t.Parallel()
			saveLoad(t, a)
		})
	}
}

func saveLoad(t *testing.T, a arch.Arch) {
	tools, _ := hostTools(t, a)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	m := saving(t, a)
	vm, err := Start(ctx, tools, m)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { vm.Close() }()
	marker := func() string { // is in the guest's memory, where the kernel's command line would be
		var out string
		if err := vm.QMP(ctx, "human-monitor-command", map[string]string{"command-line": "xp /1xb 0x100000"}, &out); err != nil {
			t.Error(err)
		}
		return out
	}
	running := func(want bool) {
		t.Helper()
		var got struct{ Running bool }
		if err := vm.QMP(ctx, "query-status", nil, &got); err != nil || got.Running != want {
			t.Errorf("running: %t, %v", got.Running, err)
		}
	}
	vm.Console().append([]byte("before\n"))
	s, err := vm.Save(ctx, "one")
	if err != nil {
		t.Fatal(err)
	}
	running(true)
	before := marker()
	vm.Console().append([]byte("after\n"))
	if err := vm.SetLink(ctx, 0, false); err != nil {
		t.Error(err)
	}
	if err := vm.Load(ctx, s); err != nil {
		t.Fatal(err)
	}
	running(true)
	if got := vm.Console().Recent(9); got != "before" {
		t.Errorf("the console shows %q", got)
	}
	if err := vm.Close(); err != nil {
		t.Fatal(err)
	}
	m.Paused = true
	if vm, err = Start(ctx, tools, m); err != nil {
		t.Fatal(err)
	}
	running(false)
	if err := vm.Load(ctx, s); err != nil {
		t.Fatal(err)
	}
	running(false)
	if got := marker(); got != before {
		t.Errorf("memory is %q, was %q", got, before)
	}
	if err := vm.Resume(ctx); err != nil {
		t.Error(err)
	}
	running(true)
	if _, err := vm.Screenshot(ctx); err != nil {
		t.Error(err)
	}
	if err := vm.Forget(ctx, s); err != nil {
		t.Error(err)
	}
	if err := vm.Load(ctx, s); err == nil || !strings.Contains(err.Error(), "put back a state of machine vm: ") {
		t.Errorf("got %v", err)
	}
}

// TestCannotSave: what makes a state impossible is named.
func TestCannotSave(t *testing.T) {
	t.Parallel()
	tools, _ := hostTools(t, "amd64")
	for name, tt := range map[string]struct {
		change func(*Machine)
		want   string
	}{
		"no disk":  {func(m *Machine) { m.Disks = nil }, "save the state of machine vm: it has no disk to keep it in"},
		"writable": {func(m *Machine) { m.Disks[0].Writable = true }, "disk.wic itself, which has no room for states"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := saving(t, "amd64")
			if tt.change(&m); len(m.Disks) > 0 {
				if err := os.Chmod(m.Disks[0].Path, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			vm, err := Start(t.Context(), tools, m)
			if err != nil {
				t.Fatal(err)
			}
			defer vm.Close()
			if _, err := vm.Save(t.Context(), "one"); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestOverlay: sizes that QEMU's format has no room for, and those that it has.
func TestOverlay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, size := range []int64{0, -512, 1000, 1 << 55} {
		if f, err := NewOverlay(dir, size); err == nil {
			f.Close()
			t.Errorf("an overlay for %d bytes was made", size)
		}
	}
	for _, size := range []int64{512, 1 << 29, 1<<29 + 512, 1 << 44} {
		f, err := NewOverlay(dir, size)
		if err != nil {
			t.Errorf("%d: %v", size, err)
			continue
		}
		f.Close()
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := NewOverlay(filepath.Join(dir, "none"), 512); err == nil {
		t.Error("an overlay in a folder that is not there")
	}
}

// TestLoadFirmware: a system that runs goes on where it was, in the same QEMU and in another one; its firmware's variables are those of then.
func TestLoadFirmware(t *testing.T) {
	t.Parallel()
	slow(t)
	tools, fw := hostTools(t, "amd64")
	ctx, cancel := context.WithTimeout(t.Context(), TCG.Scale(20*time.Second))
	defer cancel()
	m := saving(t, "amd64")
	m.Kernel, m.Firmware, m.Memory = "", fw, 256
	vm, err := Start(ctx, tools, m)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { vm.Close() }()
	type wait struct{ typed, seen string }
	talk := func(all ...wait) {
		t.Helper()
		for _, w := range all {
			if _, err := vm.Console().Write([]byte(w.typed)); err != nil {
				t.Fatal(err)
			}
			if _, err := vm.Console().WaitFor(ctx, regexp.MustCompile(w.seen)); err != nil {
				t.Fatal(err)
			}
		}
	}
	talk(wait{"", "Shell> "}, wait{"set kept one\r", "Shell> "})
	s, err := vm.Save(ctx, "one")
	if err != nil {
		t.Fatal(err)
	}
	talk(wait{"set kept two\r", "Shell> "}, wait{"echo v%kept%v\r", "vtwov"})
	if err := vm.Load(ctx, s); err != nil {
		t.Fatal(err)
	}
	talk(wait{"echo v%kept%v\r", "vonev"}, wait{"set kept three\r", "Shell> "})
	if err := vm.Close(); err != nil {
		t.Fatal(err)
	}
	m.Paused = true
	if vm, err = Start(ctx, tools, m); err != nil {
		t.Fatal(err)
	}
	if err := vm.Load(ctx, s); err != nil {
		t.Fatal(err)
	}
	if err := vm.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	talk(wait{"echo v%kept%v\r", "vonev"})
}
