package vmtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"n3x/internal/diag"
	"n3x/internal/host"
)

// TestReady: what keeps machines from being started is said before any of them is.
func TestReady(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := errors.Join(os.MkdirAll(filepath.Join(root, "proc"), 0o777), os.WriteFile(filepath.Join(root, "proc/meminfo"), []byte("MemAvailable: 2048000 kB\n"), 0o666)); err != nil {
		t.Fatal(err)
	}
	l, err := New(Config{Dir: t.TempDir(), Host: host.Host{Root: root}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	image := stuckImage(t)
	add := func(s Spec) *Machine {
		t.Helper()
		m, err := l.Add(s)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	a, b := add(Spec{Name: "a", Image: image, Direct: true}), add(Spec{Name: "b", Image: image, Memory: 900})
	want := "the machines need 2180 MiB of memory, and the host has 2000 left: a 1024, b 900, and 128 each for QEMU"
	if err := l.Boot(t.Context(), a, b); err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	if err := l.ready(a); err != nil {
		t.Error(err)
	}
	c := add(Spec{Name: "c", Image: image, Direct: true})
	if err := os.Remove(strings.TrimSuffix(image, ".wic") + "-vmlinuz"); err != nil {
		t.Fatal(err)
	}
	if err := l.Boot(t.Context(), c, b); err == nil || !strings.Contains(err.Error(), "machine c: a boot without firmware needs the kernel and initrd beside") {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "x.wic is empty") {
		t.Errorf("%v", err)
	}
}

// TestEndsEarly: a wait for a machine ends when its QEMU does, and when whoever waits gives up.
func TestEndsEarly(t *testing.T) {
	t.Parallel()
	l, err := New(Config{Dir: t.TempDir(), Tools: emulated(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	image := stuckImage(t)
	for name, tt := range map[string]struct {
		end  func(m *Machine, cancel func())
		want string
	}{
		"killed":   {func(m *Machine, _ func()) { _ = m.vm.QMP(t.Context(), "quit", nil, nil) }, "machine killed does not come up: it has switched itself off"},
		"given up": {func(_ *Machine, cancel func()) { cancel() }, "machine given up does not come up: context canceled"},
	} {
		m, err := l.Add(Spec{Name: name, Image: image, Direct: true, Memory: 64, CPUs: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		start := time.Now()
		time.AfterFunc(200*time.Millisecond, func() { tt.end(m, cancel) })
		if err := m.WaitAgent(ctx, time.Hour); err == nil || err.Error() != tt.want {
			t.Errorf("%v, want %s", err, tt.want)
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("%s: it took %s", name, took)
		}
	}
}

// TestNothingToBoot: a wait ends when the firmware of a machine shows that nothing comes, long before its limit, with the console and a picture.
func TestNothingToBoot(t *testing.T) {
	t.Parallel()
	if os.Getenv("N3X_TEST_VM") != "1" {
		t.Skip("emulates a firmware for some seconds; N3X_TEST_VM=1 runs it")
	}
	l, err := New(Config{Dir: t.TempDir(), Tools: emulated(t), Scale: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m, err := l.Add(Spec{Name: "empty", Image: stuckImage(t), Memory: 256, CPUs: 1})
	if err != nil {
		t.Fatal(err)
	}
	err = m.Boot(t.Context())
	var d *diag.Error
	if err == nil || !strings.HasPrefix(err.Error(), "machine empty does not come up: its firmware finds nothing to boot") || !errors.As(err, &d) {
		t.Fatal(err)
	}
	notes := fmt.Sprint(d.Notes)
	if !strings.Contains(notes, "its console ends with") || !strings.Contains(notes, "its screen is "+filepath.Join(l.config.Dir, "empty-failed.png")) {
		t.Error(notes)
	}
}
