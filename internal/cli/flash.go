package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"n3x/internal/diag"
	"n3x/internal/flash"
	"n3x/internal/sandbox"
)

func (a *app) flash() *cobra.Command {
	c := &cobra.Command{
		Use:   "flash",
		Short: "Bring an image onto a board with its maker's flasher",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.flashJetson())
	return c
}

// flashFlags are the flags of `n3x flash jetson`.
type flashFlags struct {
	rootfs, l4t, board, device, port string
	replace, dryRun, anyUSB          bool
}

func (a *app) flashJetson() *cobra.Command {
	var f flashFlags
	c := &cobra.Command{
		Use:   "jetson",
		Short: "Flash an NVIDIA Jetson Orin Nano that waits in recovery mode on USB",
		Long: `Make the image of a Jetson the root file system of NVIDIA's folder Linux_for_Tegra, let NVIDIA's apply_binaries.sh put its parts in, and
run NVIDIA's flasher, l4t_initrd_flash.sh, which writes the boot firmware and the disk.

It needs root and a PC, a board in recovery mode on USB, and Linux_for_Tegra of Jetson Linux 36.4, which NVIDIA gives to those who
accept its licence.`,
		Example: "  n3x flash jetson --dry-run\n  sudo n3x flash jetson --rootfs build/tmp/deploy/images/jetson-orin-nano/isar-k3s-image-server-debian-trixie-jetson-orin-nano.tar.gz --l4t ~/Linux_for_Tegra",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.runFlash(c, &f) },
	}
	c.Flags().StringVar(&f.rootfs, "rootfs", "", "the image's .tar.gz; by default the one below build/tmp/deploy/images/jetson-orin-nano")
	c.Flags().StringVar(&f.l4t, "l4t", "Linux_for_Tegra", "NVIDIA's folder")
	c.Flags().StringVar(&f.board, "board", "jetson-orin-nano-devkit", "NVIDIA's name of the board (a .conf file of its folder)")
	c.Flags().StringVar(&f.device, "device", flash.Devices()[0], "where the root file system goes: "+strings.Join(flash.Devices(), ", "))
	c.Flags().StringVar(&f.port, "port", "", "with several boards, the USB port of the one to flash, e.g. 1-3")
	c.Flags().BoolVar(&f.anyUSB, "skip-usb-check", false, "leave finding the board to NVIDIA's flasher")
	c.Flags().BoolVar(&f.replace, "replace", false, "throw away a root file system in NVIDIA's folder that n3x has not put there")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "print the steps, and what is missing for them; needs no board and changes nothing")
	return c
}

func (a *app) runFlash(c *cobra.Command, f *flashFlags) error {
	o := flash.Options{Rootfs: f.rootfs, L4T: a.absolute(f.l4t), Board: f.board, Device: f.device, USB: "/sys/bus/usb/devices", Port: f.port,
		AnyUSB: f.anyUSB, Replace: f.replace, Env: os.Environ(), Stdout: a.stdout, Stderr: a.stderr}
	if f.rootfs == "" {
		var err error
		if o.Rootfs, err = a.jetsonImage(f.dryRun); err != nil {
			return err
		}
	}
	o.Rootfs = a.absolute(o.Rootfs)
	if f.dryRun {
		lines, err := flash.Plan(o)
		for _, line := range lines {
			fmt.Fprintln(a.stdout, line)
		}
		return err
	}
	if os.Geteuid() != 0 {
		return diag.Userf(diag.Pos{}, "flashing needs root: NVIDIA's flasher mounts file systems and writes to USB").
			WithHint("sudo %s", a.commandLine())
	}
	o.Log = a.stderr
	return flash.Jetson(c.Context(), o)
}

// commandLine is what the user typed, with the program's whole path, which sudo's own PATH may not have.
func (a *app) commandLine() string {
	words := []string{os.Args[0]}
	if self, err := os.Executable(); err == nil {
		words[0] = self
	}
	for _, w := range os.Args[1:] {
		words = append(words, sandbox.Quote(w))
	}
	return strings.Join(words, " ")
}

// jetsonImage is the one archive that a build has left below the current folder.
func (a *app) jetsonImage(absent bool) (string, error) {
	pattern := filepath.Join("build/tmp/deploy/images", "jetson-orin-nano", "*.tar.gz")
	found, err := filepath.Glob(a.absolute(pattern))
	switch {
	case err != nil:
		return "", err
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		var names []string
		for _, name := range found {
			names = append(names, a.relative(name))
		}
		return "", diag.Userf(diag.Pos{}, "there are several images: %s", strings.Join(names, ", ")).WithHint("choose one with --rootfs")
	case absent:
		return pattern, nil
	}
	return "", diag.Userf(diag.Pos{}, "no image: nothing matches %s", pattern).
		WithHint("build one in this folder, or name its .tar.gz with --rootfs")
}
