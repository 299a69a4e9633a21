package vmtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"n3x/internal/arch"
	"n3x/internal/vm/qemu"
)

// leakVar makes this program one that has a lab, for tests that end it.
const leakVar = "N3X_TEST_LAB"

// playLab runs two machines, says so, and waits; it returns when it is interrupted.
func playLab(ctx context.Context, dir, name string) error {
	l, err := New(Config{Dir: filepath.Join(dir, "out"), Own: filepath.Join(dir, "own"), Tools: func(arch.Arch) (qemu.Tools, qemu.Accel, error) {
		return qemu.Tools{Env: os.Environ()}, qemu.TCG, nil
	}})
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range []string{name + "-a", name + "-b"} {
		m, err := l.Add(Spec{Name: n, Image: filepath.Join(dir, "x.wic"), Direct: true, Memory: 64, CPUs: 1, Persistent: n == name+"-b", Cards: []Card{{Name: "eth1", Switch: "lan"}}})
		if err == nil {
			err = m.Start(ctx)
		}
		errs = append(errs, err)
	}
	errs = append(errs, l.Save(ctx, "x"), l.Restore(ctx, "x"))
	fmt.Println("running", errors.Join(errs...))
	<-ctx.Done()
	return l.Close()
}

// running counts the processes of machines whose names begin so.
func running(name string) (n int) {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, l := range lines {
		if data, err := os.ReadFile(l); err == nil && bytes.Contains(data, []byte("\x00-name\x00"+name)) {
			n++
		}
	}
	return n
}

// TestNothingIsLeft: whatever ends a program with a lab, no process and no file of its machines is left.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	emulated(t)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Dir(stuckImage(t))
			own := filepath.Join(dir, "own")
			if err := os.Mkdir(own, 0o700); err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprintf("leak%d%d", os.Getpid(), sig)
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), leakVar+"="+dir+":"+name)
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Process.Kill()
			line := make([]byte, 200)
			if n, err := out.Read(line); err != nil || !strings.HasPrefix(string(line[:n]), "running <nil>") {
				t.Fatalf("%q, %v", line[:n], err)
			}
			if n := running(name); n != 2 {
				t.Errorf("%d machines run", n)
			}
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, out)
			_ = cmd.Wait()
			for end := time.Now().Add(20 * time.Second); running(name) > 0; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%d machines are left", running(name))
				}
			}
			if left, err := os.ReadDir(own); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// TestDescriptors: a lab that was closed, or given up while it starts, has closed all that it opened.
func TestDescriptors(t *testing.T) {
	if testing.Short() {
		t.Skip()
	}
	tools := emulated(t)
	image := stuckImage(t)
	count := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(fds)
	}
	once := func(patience time.Duration) {
		l, err := New(Config{Dir: t.TempDir(), Own: t.TempDir(), Tools: tools})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for i := range 2 {
			m, err := l.Add(Spec{Name: fmt.Sprint(i), Image: image, Direct: true, Memory: 64, CPUs: 1, Cards: []Card{{Name: "eth1", Switch: "lan"}, {Name: "eth2", Switch: "lan"}}})
			if err != nil {
				t.Fatal(err)
			}
			_ = m.Start(ctx)
		}
		if l.Save(ctx, "x") == nil {
			_ = l.Restore(ctx, "x")
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	once(time.Minute) // what the program itself opens once
	before := count()
	for _, patience := range []time.Duration{time.Minute, 0, 30 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond} {
		once(patience)
	}
	if after := count(); after > before {
		t.Errorf("%d descriptors are open, %d were before", after, before)
	}
}
