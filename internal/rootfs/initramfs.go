package rootfs

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"n3x/internal/diag"
	"n3x/internal/progress"
	"n3x/internal/sandbox"
)

// InitramfsOptions says how [Initramfs] makes the initramfs of each kernel.
type InitramfsOptions struct {
	Dir   string // the layer to make; its parent must exist, itself must not
	Below Stack

	// Command is a shell command that makes /boot/initrd.img-$kernel_version, e.g. `dracut --force --kver "$kernel_version"`;
	// "" is update-initramfs or dracut, whichever the root filesystem has.
	Command string
	Env     []string  // further environment, "NAME=value"
	Epoch   time.Time // of the files in the layer
	Twins   Twins     // of programs, when the stack is not of this machine's architecture
	Log     io.Writer // nil discards
	Task    *progress.Task
}

// Initrd is the initramfs of one kernel.
type Initrd struct {
	Kernel string // its version, e.g. "6.12.43+deb13-amd64"
	Path   string // on this machine, inside the layer
}

// kernelFile is a kernel in /boot.
var kernelFile = regexp.MustCompile(`^vmlinu[xz]-(.+)$`)

// Kernels is the versions of the kernels in the stack's /boot, sorted.
func (s Stack) Kernels() ([]string, error) {
	names, err := s.ReadDir("boot")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var versions []string
	for _, name := range names {
		if m := kernelFile.FindStringSubmatch(name); m != nil {
			versions = append(versions, m[1])
		}
	}
	return versions, nil
}

// Initramfs makes a layer with the initramfs of every kernel in the stack. Without a kernel the layer is empty.
func Initramfs(ctx context.Context, o InitramfsOptions) (*Layer, []Initrd, error) {
	kernels, err := o.Below.Kernels()
	if err != nil {
		return nil, nil, err
	}
	if o.Command == "" && len(kernels) > 0 {
		if o.Command, err = generator(o.Below); err != nil {
			return nil, nil, err
		}
	}
	draft, err := NewDraft(o.Dir, o.Below)
	if err != nil {
		return nil, nil, err
	}
	defer draft.Discard()
	var made []Initrd
	for _, kernel := range kernels {
		o.Task.Step("making the initramfs of kernel " + kernel)
		if err := o.run(ctx, draft, kernel); err != nil {
			return nil, nil, explainSpace(err, o.Dir)
		}
		name := "boot/initrd.img-" + kernel
		if info, err := os.Stat(filepath.Join(draft.Root, name)); err != nil || info.Size() == 0 {
			return nil, nil, diag.Failedf(diag.Pos{}, "make the initramfs of kernel %s: %q ran but made no /%s", kernel, o.Command, name)
		}
		made = append(made, Initrd{kernel, filepath.Join(o.Dir, name)})
	}
	if err := scrub(draft.Root, func(string) bool { return false }); err != nil {
		return nil, nil, err
	}
	layer, err := draft.Commit(o.Epoch)
	if err != nil {
		return nil, nil, explainSpace(err, o.Dir)
	}
	return layer, made, nil
}

// generator is the command for the generator that is installed.
func generator(stack Stack) (string, error) {
	if _, err := stack.Lookup("usr/sbin/update-initramfs"); err == nil {
		return `update-initramfs -c -k "$kernel_version"`, nil
	}
	if _, err := stack.Lookup("usr/bin/dracut"); err == nil {
		return `dracut --force --kver "$kernel_version"`, nil
	}
	return "", diag.Failedf(diag.Pos{}, "make the initramfs: the root filesystem has neither update-initramfs nor dracut").
		WithHint("install initramfs-tools or dracut in it, or make the image without an initramfs")
}

func (o InitramfsOptions) run(ctx context.Context, draft *Draft, kernel string) error {
	cmd := draft.Command("sh", "-ec", o.Command)
	// Generators give files that are newer than SOURCE_DATE_EPOCH that time. With the first second there is, all files have
	// it, and the clock of the moment does not matter even when it is late.
	cmd.Env = append(cmd.Env, "SOURCE_DATE_EPOCH=1", "kernel_version="+kernel)
	cmd.Env = append(cmd.Env, o.Env...)
	// Hundreds of files are put together in /var/tmp: outside the overlay, where that is faster.
	scratch, err := os.MkdirTemp(draft.temp, "initramfs-*")
	if err != nil {
		return err
	}
	if err := os.Chmod(scratch, 0o777|fs.ModeSticky); err != nil {
		return err
	}
	cmd.Mounts = append(cmd.Mounts, sandbox.Mount{Type: sandbox.Bind, Source: scratch, Target: "/var/tmp"})
	twinsDir, err := os.MkdirTemp(draft.temp, "twins-*")
	if err != nil {
		return err
	}
	twins, err := o.Twins.Initramfs(twinsDir, draft.Stack())
	if err != nil {
		return err
	}
	cmd.Mounts = append(cmd.Mounts, twins...)
	output := &transcript{log: o.Log}
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Run(ctx); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return output.notes(diag.Failedf(diag.Pos{}, "make the initramfs of kernel %s: %w", kernel, err))
	}
	return nil
}
