package qemu

import (
	"bytes"
	"context"
	"image/png"
	"os"
	"strings"
	"testing"
	"time"
)

// TestControl: buttons, cables and the screen of a running machine, and what is left when it has ended.
func TestControl(t *testing.T) {
	t.Parallel()
	tools, _ := hostTools(t, "amd64")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir := t.TempDir()
	vm, err := Start(ctx, tools, Machine{
		Arch: "amd64", Kernel: stuckKernel(t), CPUs: 1, Memory: 64, Dir: dir,
		Display: true, Channels: []string{"org.qemu.guest_agent.0"},
		NICs: []NIC{{User: &UserNet{Restrict: true}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	if vm.Channel("org.qemu.guest_agent.0") == nil || vm.Channel("other") != nil {
		t.Error("the channel is not there, or one that nobody asked for is")
	}
	status := func(want string) {
		t.Helper()
		var got struct{ Status string }
		if err := vm.QMP(ctx, "query-status", nil, &got); err != nil || got.Status != want {
			t.Errorf("the machine is %q, %v; want %q", got.Status, err, want)
		}
	}
	for _, step := range []struct {
		do   func(context.Context) error
		want string
	}{{vm.Pause, "paused"}, {vm.Resume, "running"}, {vm.Reset, "running"}} {
		if err := step.do(ctx); err != nil {
			t.Error(err)
		}
		status(step.want)
	}
	for _, up := range []bool{false, true} {
		if err := vm.SetLink(ctx, 0, up); err != nil {
			t.Error(err)
		}
	}
	if err := vm.SetLink(ctx, 1, true); err == nil || !strings.Contains(err.Error(), "has no network card 1; it has 1") {
		t.Error(err)
	}
	data, err := vm.Screenshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := png.DecodeConfig(bytes.NewReader(data)); err != nil || c.Width < 320 {
		t.Errorf("%+v, %v", c, err)
	}
	if err := vm.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := vm.Reset(ctx); err == nil {
		t.Error("a machine that has ended was reset")
	}
}

func TestNoScreen(t *testing.T) {
	t.Parallel()
	v := &VM{m: Machine{Name: "m"}}
	if _, err := v.Screenshot(t.Context()); err == nil || !strings.Contains(err.Error(), "picture of machine m: it has no screen") {
		t.Error(err)
	}
}
