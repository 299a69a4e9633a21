// Package flash brings an image onto a board with the board's maker's own flasher.
//
// [Jetson] takes the tar.gz of an image for an NVIDIA Jetson and NVIDIA's folder Linux_for_Tegra, makes the former the latter's root
// file system, lets NVIDIA's apply_binaries.sh put its parts in, and runs l4t_initrd_flash.sh for a board that waits in recovery mode on
// USB. NVIDIA's programs are run as they are, as processes of the host: they want real root, loop devices, USB and NFS, and call what
// they need there. Nothing else of the host is used: the archive is unpacked and the bus is read here.
//
// Refused, before anything is changed: archives that hold no root file system for arm64, folders that are not NVIDIA's, a root file
// system in there that somebody else has put, boards of other kinds, several boards without a choice. What an interruption or a failure
// leaves is named in the error, and made anew by the next run.
//
// See NVIDIA's Jetson Linux Developer Guide, release 36.4, "Flashing Support", and tools/kernel_flash/README_initrd_flash.txt there.
package flash

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"n3x/internal/arch"
	"n3x/internal/diag"
	"n3x/internal/sandbox"
)

// Options say what is flashed onto what.
type Options struct {
	Rootfs string // the image's archive, compressed or not
	L4T    string // NVIDIA's folder Linux_for_Tegra
	Board  string // NVIDIA's name of module and carrier, e.g. "jetson-orin-nano-devkit"
	Device string // where the root file system goes: a name of [Devices]

	USB     string // the kernel's list of USB devices, "/sys/bus/usb/devices"
	Port    string // the port whose board is flashed, e.g. "1-3"; "" is the only one
	AnyUSB  bool   // leave it to NVIDIA's flasher to find the board
	Replace bool   // throw away a root file system of somebody else

	Env            []string  // of NVIDIA's programs
	Stdout, Stderr io.Writer // of NVIDIA's programs
	Log            io.Writer // what happens, a line for each step
}

// target is where a root file system can go.
type target struct {
	name  string
	what  string
	args  []string // of l4t_initrd_flash.sh, before the board
	root  string   // its last argument
	files []string // of L4T that the arguments name
}

const (
	externalLayout = "tools/kernel_flash/flash_l4t_t234_nvme.xml"
	firmwareLayout = "bootloader/generic/cfg/flash_t234_qspi.xml"
)

// targets are the devices, the usual one first. The boot firmware always goes into the module's own flash memory.
var targets = []target{external("nvme", "an NVMe disk", "nvme0n1p1"), external("usb", "a USB disk", "sda1"),
	{name: "sd", what: "the SD card in the module", root: "mmcblk0p1"}}

func external(name, what, partition string) target {
	return target{name: name, what: what, root: "internal", files: []string{externalLayout, firmwareLayout},
		args: []string{"--external-device", partition, "-c", externalLayout, "-p", "-c " + firmwareLayout}}
}

// Devices are the names that Options.Device can have.
func Devices() []string {
	var names []string
	for _, t := range targets {
		names = append(names, t.name)
	}
	return names
}

func (o *Options) target() (target, error) {
	for _, t := range targets {
		if t.name == o.Device {
			return t, nil
		}
	}
	return target{}, diag.Userf(diag.Pos{}, "unknown device %q", o.Device).WithHint("choose one of %s", strings.Join(Devices(), ", "))
}

const (
	applyScript = "apply_binaries.sh"
	flashScript = "tools/kernel_flash/l4t_initrd_flash.sh"
)

// flashArgs is the command line of NVIDIA's flasher, from Linux_for_Tegra.
func (o *Options) flashArgs(t target, port string) []string {
	argv := append([]string{"./" + flashScript}, t.args...)
	argv = append(argv, "--showlogs", "--network", "usb0")
	if port != "" {
		argv = append(argv, "--usb-instance", port)
	}
	return append(argv, o.Board, t.root)
}

// Plan gives the steps of [Jetson] as lines to read. It needs neither a board nor the files, and changes nothing; what is missing is
// said below the steps.
func Plan(o Options) ([]string, error) {
	t, err := o.target()
	if err != nil {
		return nil, err
	}
	quoted := func(argv []string) string {
		var words []string
		for _, a := range argv {
			words = append(words, sandbox.Quote(a))
		}
		return strings.Join(words, " ")
	}
	rootfs := filepath.Join(o.L4T, "rootfs")
	lines := []string{
		fmt.Sprintf("1. look for one board in recovery mode in %s", o.USB),
		fmt.Sprintf("2. unpack %s into %s, with its owners", o.Rootfs, rootfs),
		fmt.Sprintf("3. cd %s && ./%s", sandbox.Quote(o.L4T), applyScript),
		fmt.Sprintf("4. put the image's own %s back, which chooses kernel and console", filepath.Join(rootfs, bootEntry)),
		fmt.Sprintf("5. cd %s && %s", sandbox.Quote(o.L4T), quoted(o.flashArgs(t, o.Port))),
	}
	if o.AnyUSB {
		lines[0] = "1. leave finding the board to NVIDIA's flasher"
	}
	for _, problem := range []error{o.checkArchive(), o.checkFolder(), o.checkOccupied()} {
		if problem != nil {
			lines = append(lines, "not yet: "+problem.Error())
		}
	}
	return append(lines, o.missing(t)...), nil
}

// Jetson flashes a board. It needs root.
func Jetson(ctx context.Context, o Options) error {
	t, err := o.target()
	if err != nil {
		return err
	}
	if host := arch.Host(); host != "amd64" {
		return diag.Userf(diag.Pos{}, "NVIDIA's flasher runs on x86-64 only, and this machine is %s", host)
	}
	for _, check := range []func() error{o.checkArchive, o.checkFolder, o.checkOccupied} {
		if err := check(); err != nil {
			return err
		}
	}
	port, err := o.board()
	if err != nil {
		return err
	}
	for _, m := range o.missing(t) {
		o.say("warning: %s", m)
	}
	unlock, err := o.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := o.layOut(ctx); err != nil {
		return err
	}
	o.say("flashing %s onto %s; do not unplug the board", o.Board, t.what)
	if err := o.run(ctx, o.flashArgs(t, port)); err != nil {
		o.interrupted(ctx, "the board may be half written and not start: repeat the command")
		return diag.Failedf(diag.Pos{}, "NVIDIA's flasher: %w", err).
			WithNote("the board may be half written and not start; %s is complete", filepath.Join(o.L4T, "rootfs")).
			WithHint("put the board into recovery mode again and repeat the command")
	}
	o.say("done: take the jumper off and let the board start")
	return nil
}

// run starts one of NVIDIA's programs in Linux_for_Tegra.
func (o *Options) run(ctx context.Context, argv []string) error {
	cmd := &sandbox.Cmd{Host: true, Argv: argv, Dir: o.L4T, Env: o.Env, Stdout: o.Stdout, Stderr: o.Stderr}
	cmd.Argv[0] = filepath.Join(o.L4T, argv[0])
	return cmd.Run(ctx)
}

func (o *Options) say(format string, args ...any) {
	if o.Log != nil {
		fmt.Fprintf(o.Log, format+"\n", args...)
	}
}

// interrupted says what an interruption leaves; the command line shows no more than that there was one.
func (o *Options) interrupted(ctx context.Context, left string) {
	if ctx.Err() != nil {
		o.say("interrupted: %s", left)
	}
}

// checkFolder refuses what is not NVIDIA's folder.
func (o *Options) checkFolder() error {
	for _, name := range []string{applyScript, flashScript} {
		file := filepath.Join(o.L4T, name)
		st, err := os.Stat(file)
		if err == nil && (!st.Mode().IsRegular() || st.Mode()&0o111 == 0) {
			err = fmt.Errorf("%s is no program", file)
		}
		if err != nil {
			return diag.Userf(diag.Pos{}, "%s is not NVIDIA's Linux_for_Tegra: %w", o.L4T, err).
				WithHint("unpack Jetson_Linux_R36.4.4_aarch64.tbz2 of NVIDIA as root, and name its folder with --l4t")
		}
	}
	return nil
}

// missing names the files that NVIDIA's flasher will look for in vain.
func (o *Options) missing(t target) []string {
	var lines []string
	if o.checkFolder() != nil {
		return nil
	}
	for _, name := range append([]string{o.Board + ".conf", "kernel/Image"}, t.files...) {
		if _, err := os.Stat(filepath.Join(o.L4T, name)); err != nil {
			lines = append(lines, fmt.Sprintf("%s has no %s, which NVIDIA's flasher will look for", o.L4T, name))
		}
	}
	return lines
}
