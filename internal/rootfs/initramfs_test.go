package rootfs

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shellStack is a stack with the fake shell and the kernels given.
func shellStack(t *testing.T, kernels ...string) Stack {
	t.Helper()
	root := t.TempDir()
	files := libraries(t)
	files["usr/bin/sh"] = string(must1(os.ReadFile("/proc/self/exe")))
	for _, k := range kernels {
		files["boot/vmlinuz-"+k] = "kernel"
	}
	for name, text := range files {
		put(t, root, name, text)
		must(t, os.Chmod(filepath.Join(root, name), 0o755))
	}
	put(t, root, "boot/config-1", "x", "var/tmp/", "", "proc/", "", "sys/", "", "dev/", "", "tmp/", "")
	return Stack{root}
}

func TestInitramfs(t *testing.T) {
	dir := t.TempDir()
	o := InitramfsOptions{Dir: filepath.Join(dir, "layer"), Below: shellStack(t, "6.12+a", "6.1"), Command: "make", Env: []string{"EXTRA=!"}, Epoch: packaged}
	layer, initrds, err := Initramfs(context.Background(), o)
	if err != nil {
		t.Fatal(rendered(err))
	}
	want := []Initrd{{"6.1", filepath.Join(o.Dir, "boot/initrd.img-6.1")}, {"6.12+a", filepath.Join(o.Dir, "boot/initrd.img-6.12+a")}}
	if diff := cmp.Diff(want, initrds); diff != "" {
		t.Errorf("initrds (-want +got):\n%s", diff)
	}
	for _, i := range initrds {
		if text, err := os.ReadFile(i.Path); err != nil || string(text) != "initrd 1!" {
			t.Errorf("%s: %q, %v", i.Path, text, err)
		}
	}
	tree := listTree(t, layer.Dir)
	if strings.Contains(tree, "left") {
		t.Errorf("the layer has what the generator left in /var/tmp:\n%s", tree)
	}
	if entries := must1(os.ReadDir(dir)); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestInitramfsRefuses(t *testing.T) {
	for command, want := range map[string]string{
		"fail":    "make the initramfs of kernel 6.1: sh -ec fail: exit status 3",
		"nothing": `make the initramfs of kernel 6.1: "nothing" ran but made no /boot/initrd.img-6.1`,
		"":        "the root filesystem has neither update-initramfs nor dracut",
	} {
		dir := t.TempDir()
		_, _, err := Initramfs(context.Background(), InitramfsOptions{Dir: filepath.Join(dir, "layer"), Below: shellStack(t, "6.1"), Command: command, Epoch: packaged})
		if err == nil || !strings.Contains(rendered(err), want) {
			t.Errorf("%q: %v, want %s", command, err, want)
		}
		if entries := must1(os.ReadDir(dir)); len(entries) != 0 {
			t.Errorf("left behind: %v", entries)
		}
	}
	if layer, initrds, err := Initramfs(context.Background(), InitramfsOptions{Dir: filepath.Join(t.TempDir(), "layer"), Below: shellStack(t), Epoch: packaged}); err != nil || len(initrds) != 0 {
		t.Errorf("without a kernel: %v, %v, %v", layer, initrds, err)
	}
}
