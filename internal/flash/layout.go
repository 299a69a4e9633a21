package flash

import (
	"archive/tar"
	"bufio"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sys/unix"

	"n3x/internal/atomicfile"
	"n3x/internal/debian/deb"
	"n3x/internal/diag"
	"n3x/internal/sandbox"
)

const (
	bootEntry = "boot/extlinux/extlinux.conf" // what NVIDIA's firmware reads the kernel and its command line from
	freshName = "rootfs.n3x-new"              // a root file system that is being unpacked
	stateName = "rootfs.n3x"                  // says that rootfs was made here, and how far that came
)

// What the state file says.
const (
	stateBegun = "incomplete\n"
	stateReady = "complete\n"
)

func (o *Options) path(name string) string { return filepath.Join(o.L4T, name) }

// checkArchive refuses what is no archive, before anything is done.
func (o *Options) checkArchive() error {
	st, err := os.Stat(o.Rootfs)
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", o.Rootfs)
	}
	if err != nil {
		return diag.Userf(diag.Pos{}, "the root file system's archive: %w", err).
			WithHint("build it: n3x build kas/base.yml:kas/machine/jetson-orin-nano.yml:kas/image/k3s-server.yml:kas/network/vlans.yml")
	}
	return nil
}

// checkOccupied refuses to throw away a root file system of somebody else.
func (o *Options) checkOccupied() error {
	entries, err := os.ReadDir(o.path("rootfs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return diag.Userf(diag.Pos{}, "look into the old root file system: %w", err)
	}
	ours, err := os.ReadFile(o.path(stateName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		// NVIDIA ships the folder with this file alone.
		if e.Name() != "README.txt" && ours == nil && !o.Replace {
			return diag.Userf(diag.Pos{}, "%s holds a root file system that n3x has not put there", o.path("rootfs")).
				WithHint("move it away, or throw it away with --replace")
		}
	}
	if string(ours) == stateBegun {
		o.say("%s was left incomplete by an earlier run; it is made anew", o.path("rootfs"))
	}
	return nil
}

// lock keeps two runs apart in one Linux_for_Tegra.
func (o *Options) lock() (unlock func(), err error) {
	dir, err := os.Open(o.L4T)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		dir.Close()
		return nil, diag.Userf(diag.Pos{}, "%s is in use by another run", o.L4T)
	}
	return func() {
		_ = unix.Flock(int(dir.Fd()), unix.LOCK_UN) // a program that is just being started may have the descriptor, too
		dir.Close()
	}, nil
}

// layOut makes Linux_for_Tegra/rootfs of the archive and lets NVIDIA put its parts in.
func (o *Options) layOut(ctx context.Context) error {
	rootfs, fresh := o.path("rootfs"), o.path(freshName)
	if err := sandbox.Remove(fresh); err != nil {
		return diag.Failedf(diag.Pos{}, "remove what an earlier run left: %w", err)
	}
	o.say("unpacking %s", o.Rootfs)
	entry, err := o.unpack(ctx, fresh)
	if err != nil {
		if rmErr := sandbox.Remove(fresh); rmErr != nil {
			return errors.Join(err, diag.Failedf(diag.Pos{}, "%s is left over: %w", fresh, rmErr))
		}
		o.say("nothing was changed in %s, and the board was not touched", o.L4T)
		return err
	}
	// From here on rootfs is ours, whatever happens.
	if err := atomicfile.Write(o.path(stateName), []byte(stateBegun), 0o644); err != nil {
		return errors.Join(err, sandbox.Remove(fresh))
	}
	if err := sandbox.Remove(rootfs); err != nil {
		return errors.Join(diag.Failedf(diag.Pos{}, "remove the old root file system: %w", err), sandbox.Remove(fresh))
	}
	if err := os.Rename(fresh, rootfs); err != nil {
		return err
	}
	o.say("running NVIDIA's %s", applyScript)
	if err := o.run(ctx, []string{"./" + applyScript}); err != nil {
		o.interrupted(ctx, rootfs+" is incomplete, and will be made anew; the board was not touched")
		return diag.Failedf(diag.Pos{}, "NVIDIA's %s: %w", applyScript, err).
			WithNote("%s is incomplete; the board was not touched", rootfs).WithHint("when the cause is mended, repeat the command: it is made anew")
	}
	if entry != nil {
		if err := writeEntry(rootfs, entry); err != nil {
			return diag.Failedf(diag.Pos{}, "write %s into %s: %w", bootEntry, rootfs, err).WithNote("%s is incomplete; the board was not touched", rootfs)
		}
	}
	return atomicfile.Write(o.path(stateName), []byte(stateReady), 0o644)
}

// unpack makes fresh a root file system and gives its boot entry; nil when it has none.
func (o *Options) unpack(ctx context.Context, fresh string) (entry []byte, err error) {
	if err := os.Mkdir(fresh, 0o755); err != nil {
		return nil, err
	}
	file, err := os.Open(o.Rootfs)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	wrong := func(err error) error {
		return diag.Userf(diag.Pos{}, "%s: %w", o.Rootfs, err).WithHint("name the .tar.gz of an image that was built for the machine jetson-orin-nano")
	}
	stream, err := deb.Decompress(o.Rootfs, bufio.NewReaderSize(file, 1<<20))
	if err != nil {
		return nil, wrong(err)
	}
	defer stream.Close()
	if err := deb.UnpackTar(ctx, o.Rootfs, stream, fresh, deb.UnpackOptions{}); isDamage(err) {
		return nil, wrong(err)
	} else if err != nil {
		return nil, err
	}
	// What is behind the archive's end belongs to the checksum of the compressed file.
	if _, err := io.Copy(io.Discard, stream); err != nil {
		return nil, wrong(err)
	}
	root, err := os.OpenRoot(fresh)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if err := checkRoot(root); err != nil {
		return nil, wrong(err)
	}
	entry, err = fs.ReadFile(root.FS(), bootEntry)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return entry, err
}

// isDamage tells a file that is no archive, or not all of one, from what goes wrong while it is unpacked.
func isDamage(err error) bool {
	for _, e := range []error{tar.ErrHeader, gzip.ErrHeader, gzip.ErrChecksum, io.ErrUnexpectedEOF} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// checkRoot refuses a tree that is no root file system of the board's architecture.
func checkRoot(root *os.Root) error {
	for _, dir := range []string{"etc", "usr"} {
		if st, err := root.Stat(dir); err != nil || !st.IsDir() {
			return fmt.Errorf("it holds no root file system: there is no folder /%s", dir)
		}
	}
	for _, name := range []string{"usr/bin/dpkg", "usr/bin/env", "usr/bin/dash", "usr/bin/bash"} {
		f, err := root.Open(name)
		if err != nil {
			continue
		}
		program, err := elf.NewFile(f)
		f.Close()
		if err == nil && program.Machine != elf.EM_AARCH64 {
			return fmt.Errorf("its /%s is for %s, and the board is arm64", name, program.Machine)
		}
	}
	return nil
}

// writeEntry puts the image's boot entry in place of NVIDIA's. Links in the tree lead nowhere outside of it.
func writeEntry(rootfs string, entry []byte) error {
	root, err := os.OpenRoot(rootfs)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.Remove(bootEntry); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := root.OpenFile(bootEntry, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.Write(entry); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
