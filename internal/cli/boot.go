package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"n3x/internal/arch"
	"n3x/internal/build"
	"n3x/internal/diag"
	"n3x/internal/vm/qemu"
)

// bootFlags are the flags of `n3x boot`.
type bootFlags struct {
	build   buildFlags
	direct  bool
	cpus    int
	memory  int
	append  string
	waitFor string
	limit   time.Duration
}

func (a *app) boot() *cobra.Command {
	var f bootFlags
	c := &cobra.Command{
		Use:   "boot FILES|IMAGE.wic [flags]",
		Short: "Boot an image in QEMU, with its serial console on the terminal",
		Long: `Boot an image in QEMU: what kas files build (it is built first), or a .wic file.

The machine has the architecture of the image's boot loader, UEFI firmware and two network cards: eth0 is a network of QEMU's own with DHCP, eth1 the node's.
The image is not changed. In an emulated machine systemd is told to wait longer for disks and services, when systemd-boot or --direct starts it. Ctrl-A X ends
the machine.`,
		Example: "  n3x boot kas/base.yml:kas/machine/qemu-amd64.yml:kas/image/base.yml:kas/network/simple.yml",
		Args:    cobra.ExactArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return a.runBoot(c.Context(), args[0], &f) },
	}
	f.build.register(c)
	a.plain.register(c)
	c.Flags().BoolVar(&f.direct, "direct", false, "boot kernel and initrd without firmware")
	c.Flags().IntVar(&f.cpus, "cpus", 2, "processors")
	c.Flags().IntVar(&f.memory, "memory", 1024, "memory in MiB")
	c.Flags().StringVar(&f.append, "append", "", "with --direct, the kernel's command line instead of the image's usual one")
	c.Flags().StringVar(&f.waitFor, "wait-for", "", "end successfully when the console shows this regular expression, e.g. \"login:\"")
	c.Flags().DurationVar(&f.limit, "limit", 2*time.Minute, "with --wait-for, how long a machine with KVM may take; longer without KVM")
	return c
}

// runBoot builds, if kas files are named, and boots.
func (a *app) runBoot(ctx context.Context, what string, f *bootFlags) error {
	var wait *regexp.Regexp
	if f.waitFor != "" {
		var err error
		if wait, err = regexp.Compile(f.waitFor); err != nil {
			return diag.Userf(diag.Pos{}, "--wait-for: %w", err)
		}
	}
	image := what
	var o build.Options
	if !strings.HasSuffix(what, ".wic") {
		p, err := a.project(ctx, what, &f.build)
		if err != nil {
			return err
		}
		o = a.options(p, &f.build)
		if o.Targets == nil {
			o.Targets = p.Targets
		}
		o.Replay = a.replay(what)
		image = ""
	} else if _, err := os.Stat(what); err != nil {
		return diag.Userf(diag.Pos{}, "%w", err).WithHint("name a .wic file below build/tmp/deploy/images, or kas files joined by colons")
	} else if err := qemu.CheckImage(what); err != nil {
		return err
	}
	in, err := a.enter()
	if err != nil || !in {
		return err
	}
	stream, done := a.progress()
	if image == "" {
		o.Progress = stream
		result, err := build.Run(ctx, o)
		if err != nil {
			done()
			return err
		}
		if image, err = wicOf(result.Images); err != nil {
			done()
			return err
		}
	}
	machine, err := qemu.ImageArch(image)
	if err != nil {
		done()
		return diag.Userf(diag.Pos{}, "read %s: %w", image, err)
	}
	if machine == "" {
		machine = arch.Host()
	}
	tools, err := a.qemuTools(ctx, o, machine)
	done()
	if err != nil {
		return err
	}
	m, err := a.machine(ctx, machine, image, tools, f)
	if err != nil {
		return err
	}
	return a.watch(ctx, tools, *m, wait, f.limit)
}

// wicOf is the one disk among an image's files.
func wicOf(files []string) (string, error) {
	for _, f := range files {
		if strings.HasSuffix(f, ".wic") {
			return f, nil
		}
	}
	return "", diag.Userf(diag.Pos{}, "the targets make no .wic file, so there is nothing to boot").WithHint("add wic to IMAGE_FSTYPES, or name an image as target")
}

// qemuTools are the host's QEMU and firmware when it has both, else a tools tree's.
func (a *app) qemuTools(ctx context.Context, o build.Options, machine arch.Arch) (qemu.Tools, error) {
	host := qemu.Tools{Env: os.Environ()}
	if host.Program(machine) != "" {
		if _, err := host.Firmware(machine); err == nil {
			return host, nil
		}
	}
	layers, err := build.Tools(ctx, o, a.env, qemu.Packages(machine))
	return qemu.Tools{Layers: layers}, err
}

// proveKVM tries whether machines can have KVM, and says why not.
func (a *app) proveKVM(ctx context.Context, tools qemu.Tools, of arch.Arch) (qemu.Accel, error) {
	proof, err := tools.ProveKVM(ctx, of, filepath.Join(cacheHome(a.env), "n3x", "kvm-proof.json"))
	if err != nil {
		return qemu.TCG, err
	}
	if !proof.Works {
		fmt.Fprintf(a.stderr, "%s: no KVM, machines are emulated: %s\n", a.name, proof.Reason)
	}
	return proof.Accel(), nil
}

// machine describes the machine that an image boots on.
func (a *app) machine(ctx context.Context, of arch.Arch, image string, tools qemu.Tools, f *bootFlags) (*qemu.Machine, error) {
	accel, err := a.proveKVM(ctx, tools, of)
	if err != nil {
		return nil, err
	}
	m := &qemu.Machine{
		Name: strings.TrimSuffix(filepath.Base(image), ".wic"), Arch: of, Accel: accel, CPUs: f.cpus, Memory: f.memory,
		Disks: []qemu.Disk{{Path: image}},
		NICs:  []qemu.NIC{{User: &qemu.UserNet{}}, {User: &qemu.UserNet{Restrict: true}}},
	}
	if !f.direct {
		m.Firmware, err = tools.Firmware(m.Arch)
		return m, err
	}
	if err := m.DirectFiles(image); err != nil {
		return nil, err
	}
	if f.append != "" {
		m.Append = f.append
	}
	return m, nil
}

// watch runs the machine with its console on the terminal, until it ends or shows what is waited for.
func (a *app) watch(ctx context.Context, tools qemu.Tools, m qemu.Machine, wait *regexp.Regexp, limit time.Duration) error {
	in, inOK := a.stdin.(*os.File)
	out, outOK := a.stdout.(*os.File)
	if wait == nil && inOK && outOK {
		m.Terminal = &qemu.Terminal{In: in, Out: out}
		if term.IsTerminal(int(in.Fd())) {
			fmt.Fprintf(a.stderr, "%s: Ctrl-A X ends the machine\n", a.name)
		}
		vm, err := qemu.Start(ctx, tools, m)
		if err != nil {
			return err
		}
		defer vm.Close()
		return vm.Wait()
	}
	m.Log = a.stdout
	vm, err := qemu.Start(ctx, tools, m)
	if err != nil {
		return err
	}
	defer vm.Close()
	if wait == nil {
		return vm.Wait()
	}
	limit = m.Accel.Scale(limit)
	waitCtx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	start := time.Now()
	if _, err := vm.Console().WaitFor(waitCtx, wait); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return diag.Failedf(diag.Pos{}, "the console did not show %q within %s", wait, limit).WithNote("its last lines were\n%s", vm.Console().Recent(20))
		}
		return err
	}
	fmt.Fprintf(a.stderr, "\n%s: the console showed %q after %.0f s\n", a.name, wait, time.Since(start).Seconds())
	return nil
}

// cacheHome is the folder for caches of this user (XDG base directory specification).
func cacheHome(env map[string]string) string {
	if dir := env["XDG_CACHE_HOME"]; filepath.IsAbs(dir) {
		return dir
	}
	return filepath.Join(env["HOME"], ".cache")
}
