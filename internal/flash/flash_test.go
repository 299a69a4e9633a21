package flash

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"n3x/internal/arch"
	"n3x/internal/diag"
	"n3x/internal/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	inside, status, err := sandbox.Enter()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if !inside {
		os.Exit(status)
	}
	os.Exit(m.Run())
}

// entry is a member of an archive.
type entry struct {
	name, content string
	mode          int64
	uid           int
	kind          byte
	link          string
}

// program is the head of an ELF file.
func program(machine elf.Machine) string {
	b := make([]byte, 64)
	copy(b, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint16(b[16:], 2)
	binary.LittleEndian.PutUint16(b[18:], uint16(machine))
	binary.LittleEndian.PutUint32(b[20:], 1)
	binary.LittleEndian.PutUint16(b[52:], 64)
	return string(b)
}

const ownEntry = "APPEND ${cbootargs} console=ttyTCU0,115200\n"

// image are the files of a small root file system.
func image(machine elf.Machine) []entry {
	return []entry{
		{name: "./", kind: tar.TypeDir, mode: 0o755}, {name: "./etc/", kind: tar.TypeDir, mode: 0o755}, {name: "./usr/", kind: tar.TypeDir, mode: 0o755},
		{name: "./usr/bin/", kind: tar.TypeDir, mode: 0o755}, {name: "./usr/bin/dpkg", content: program(machine), mode: 0o755},
		{name: "./usr/bin/su", content: "su", mode: 0o4755}, {name: "./bin", kind: tar.TypeSymlink, link: "usr/bin", mode: 0o777},
		{name: "./etc/shadow", content: "root:*", mode: 0o640, uid: 42},
		{name: "./boot/", kind: tar.TypeDir, mode: 0o755}, {name: "./boot/extlinux/", kind: tar.TypeDir, mode: 0o755},
		{name: "./" + bootEntry, content: ownEntry, mode: 0o644},
	}
}

func archive(t *testing.T, files []entry) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: f.mode, Uid: f.uid, Gid: f.uid, Typeflag: f.kind, Linkname: f.link, Size: int64(len(f.content)), ModTime: time.Unix(1e9, 0)}
		if f.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "image.tar.gz")
	write(t, file, b.String(), 0o644)
	return file
}

func write(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// The stand-ins of NVIDIA's programs leave traces of how they were called; apply_binaries.sh also puts a boot entry of its own.
const (
	standInApply = "#!/bin/sh\nset -e\nmkdir -p rootfs/boot/extlinux\necho nvidia > rootfs/boot/extlinux/extlinux.conf\necho apply \"$PWD\" >> log\n"
	standInFlash = "#!/bin/sh\nset -e\ntest -f rootfs/etc/shadow\necho flash >> log\nfor a in \"$@\"; do echo \"<$a>\" >> log; done\n"
)

// bench is a workshop: NVIDIA's folder, a USB bus and an archive.
func bench(t *testing.T) (Options, *bytes.Buffer) {
	t.Helper()
	dir := t.TempDir()
	l4t := filepath.Join(dir, "Linux_for_Tegra")
	write(t, filepath.Join(l4t, applyScript), standInApply, 0o755)
	write(t, filepath.Join(l4t, flashScript), standInFlash, 0o755)
	write(t, filepath.Join(l4t, "rootfs/README.txt"), "put a root file system here", 0o644)
	for _, name := range []string{"jetson-orin-nano-devkit.conf", "kernel/Image", externalLayout, firmwareLayout} {
		write(t, filepath.Join(l4t, name), "x", 0o644)
	}
	usb := filepath.Join(dir, "usb")
	plug(t, usb, "1-3", "7523")
	var log bytes.Buffer
	t.Cleanup(func() { // what belongs to other ids
		if err := sandbox.Remove(l4t); err != nil {
			t.Error(err)
		}
	})
	return Options{Rootfs: archive(t, image(elf.EM_AARCH64)), L4T: l4t, Board: "jetson-orin-nano-devkit", Device: "nvme", USB: usb, Env: os.Environ(), Log: &log}, &log
}

func plug(t *testing.T, usb, port, product string) {
	t.Helper()
	write(t, filepath.Join(usb, port, "idVendor"), "0955\n", 0o644)
	write(t, filepath.Join(usb, port, "idProduct"), product+"\n", 0o644)
	write(t, filepath.Join(usb, port+":1.0", "bInterfaceClass"), "ff\n", 0o644)
}

func onPC(t *testing.T) {
	if arch.Host() != "amd64" {
		t.Skip("NVIDIA's flasher runs on x86-64 only")
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestJetson(t *testing.T) {
	t.Parallel()
	onPC(t)
	o, _ := bench(t)
	for range 2 { // a second run makes all anew
		if err := Jetson(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(o.L4T, "rootfs/stale"), "x", 0o644)
	}
	if err := Jetson(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	want := "apply " + o.L4T + "\nflash\n<--external-device>\n<nvme0n1p1>\n<-c>\n<tools/kernel_flash/flash_l4t_t234_nvme.xml>\n<-p>\n<-c bootloader/generic/cfg/flash_t234_qspi.xml>\n" +
		"<--showlogs>\n<--network>\n<usb0>\n<jetson-orin-nano-devkit>\n<internal>\n"
	if got := read(t, filepath.Join(o.L4T, "log")); got != want+want+want {
		t.Errorf("NVIDIA's programs were called so:\n%s", got)
	}
	if got := read(t, filepath.Join(o.L4T, "rootfs", bootEntry)); got != ownEntry {
		t.Errorf("the boot entry is not the image's: %q", got)
	}
	if _, err := os.Stat(filepath.Join(o.L4T, "rootfs/stale")); err == nil {
		t.Error("the old root file system was not removed")
	}
	for name, mode := range map[string]os.FileMode{"etc/shadow": 0o640, "usr/bin/su": 0o755 | os.ModeSetuid} {
		st, err := os.Stat(filepath.Join(o.L4T, "rootfs", name))
		if err != nil {
			t.Fatal(err)
		}
		owner := st.Sys().(*syscall.Stat_t).Uid
		if st.Mode() != mode || owner != map[string]uint32{"etc/shadow": 42}[name] {
			t.Errorf("%s: mode %v, owner %d", name, st.Mode(), owner)
		}
	}
}

func TestOtherDevices(t *testing.T) {
	t.Parallel()
	for device, want := range map[string]string{
		"usb": "--external-device sda1 ", "sd": "l4t_initrd_flash.sh --showlogs --network usb0 --usb-instance 1-3 jetson-orin-nano-devkit mmcblk0p1",
	} {
		lines, err := Plan(Options{L4T: "/l4t", Board: "jetson-orin-nano-devkit", Device: device, Port: "1-3"})
		if err != nil || !strings.Contains(strings.Join(lines, "\n"), want) {
			t.Errorf("%s: %v\n%s", device, err, strings.Join(lines, "\n"))
		}
	}
	if _, err := Plan(Options{Device: "floppy"}); err == nil || !strings.Contains(err.Error(), `unknown device "floppy"`) {
		t.Errorf("floppy: %v", err)
	}
}

// TestPlan checks that a dry run needs nothing, changes nothing, and says what is missing.
func TestPlan(t *testing.T) {
	t.Parallel()
	lines, err := Plan(Options{Rootfs: "/none/image.tar.gz", L4T: "/none/L4T", Board: "b", Device: "nvme", USB: "/none"})
	text := strings.Join(lines, "\n")
	if err != nil || !strings.Contains(text, "not yet: the root file system's archive") || !strings.Contains(text, "not yet: /none/L4T is not NVIDIA's") {
		t.Errorf("%v\n%s", err, text)
	}
	o, log := bench(t)
	before := listing(t, o.L4T)
	lines, err = Plan(o)
	if text := strings.Join(lines, "\n"); err != nil || len(lines) != 5 || !strings.Contains(text, "apply_binaries.sh") || !strings.Contains(text, "-p '-c bootloader/generic/cfg/flash_t234_qspi.xml'") {
		t.Errorf("%v\n%s", err, text)
	}
	if after := listing(t, o.L4T); after != before || log.Len() > 0 {
		t.Errorf("a plan changed %s\ninto %s", before, after)
	}
}

// listing are the names in a folder.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		names = append(names, strings.TrimPrefix(path, dir))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}

// TestRefused checks that what cannot work leaves NVIDIA's folder as it was and calls none of its programs.
func TestRefused(t *testing.T) {
	t.Parallel()
	onPC(t)
	for _, tt := range []struct {
		name, want string
		change     func(*Options)
	}{
		{"no archive", "the root file system's archive", func(o *Options) { o.Rootfs += ".none" }},
		{"archive is a folder", "is not a file", func(o *Options) { o.Rootfs = filepath.Dir(o.Rootfs) }},
		{"not compressed", "gzip: invalid header", func(o *Options) { write(t, o.Rootfs, "not an archive", 0o644) }},
		{"not a tar", "no root file system", func(o *Options) { o.Rootfs = strings.TrimSuffix(archive(t, nil), ".gz") + ".gz" }},
		{"cut off", "unexpected EOF", func(o *Options) { write(t, o.Rootfs, read(t, o.Rootfs)[:200], 0o644) }},
		{"damaged", "", func(o *Options) {
			data := []byte(read(t, o.Rootfs))
			data[len(data)-6] ^= 0xff // of the checksum
			write(t, o.Rootfs, string(data), 0o644)
		}},
		{"no root", "there is no folder /etc", func(o *Options) { o.Rootfs = archive(t, []entry{{name: "x", content: "x"}}) }},
		{"another machine", "EM_X86_64, and the board is arm64", func(o *Options) { o.Rootfs = archive(t, image(elf.EM_X86_64)) }},
		{"leads out", "leaves the package", func(o *Options) {
			o.Rootfs = archive(t, append(image(elf.EM_AARCH64), entry{name: "../../x", content: "x"}))
		}},
		{"not NVIDIA's folder", "apply_binaries.sh", func(o *Options) { os.Remove(filepath.Join(o.L4T, applyScript)) }},
		{"no flasher", "l4t_initrd_flash.sh", func(o *Options) { os.Remove(filepath.Join(o.L4T, flashScript)) }},
		{"no program", "is no program", func(o *Options) { os.Chmod(filepath.Join(o.L4T, flashScript), 0o644) }},
		{"somebody else's", "that n3x has not put there", func(o *Options) { write(t, filepath.Join(o.L4T, "rootfs/etc/mine"), "x", 0o644) }},
		{"no board", "no Jetson Orin Nano is in recovery mode", func(o *Options) { o.USB += "-none" }},
		{"two boards", "at the USB ports 1-3, 2-1", func(o *Options) { plug(t, o.USB, "2-1", "7623") }},
		{"another port", "in recovery mode at USB port 9-9", func(o *Options) { o.Port = "9-9" }},
		{"running board", "found instead: a board that runs Linux at port 1-3", func(o *Options) { plug(t, o.USB, "1-3", "7020") }},
		{"another board", "AGX Orin", func(o *Options) { plug(t, o.USB, "1-3", "7023") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o, _ := bench(t)
			tt.change(&o)
			before := listing(t, o.L4T)
			err := Jetson(t.Context(), o)
			if err == nil || !strings.Contains(full(err), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if after := listing(t, o.L4T); after != before {
				t.Errorf("the folder is now %s, was %s", after, before)
			}
		})
	}
}

// full is an error with what it says besides.
func full(err error) string {
	var b strings.Builder
	diag.Render(&b, "n3x", err)
	return b.String()
}

func TestReplaceAndChoose(t *testing.T) {
	t.Parallel()
	onPC(t)
	o, _ := bench(t)
	write(t, filepath.Join(o.L4T, "rootfs/etc/mine"), "x", 0o644)
	plug(t, o.USB, "2-1", "7623")
	o.Replace, o.Port = true, "2-1"
	if err := Jetson(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if got := read(t, filepath.Join(o.L4T, "log")); !strings.Contains(got, "<--usb-instance>\n<2-1>\n") {
		t.Error(got)
	}
}

// TestFailures checks what is said, and what comes of it, when NVIDIA's programs fail or the user interrupts.
func TestFailures(t *testing.T) {
	t.Parallel()
	onPC(t)
	o, log := bench(t)
	write(t, filepath.Join(o.L4T, applyScript), "#!/bin/sh\necho no qemu >&2\nexit 3\n", 0o755)
	err := Jetson(t.Context(), o)
	if err == nil || !strings.Contains(full(err), "is incomplete; the board was not touched") {
		t.Errorf("apply: %v", full(err))
	}
	if got := read(t, filepath.Join(o.L4T, stateName)); got != stateBegun {
		t.Errorf("the state is %q", got)
	}
	write(t, filepath.Join(o.L4T, applyScript), standInApply, 0o755)
	write(t, filepath.Join(o.L4T, flashScript), "#!/bin/sh\necho usb error >&2\nexit 1\n", 0o755)
	err = Jetson(t.Context(), o)
	if err == nil || !strings.Contains(full(err), "may be half written") {
		t.Errorf("flash: %v", full(err))
	}
	if !strings.Contains(log.String(), "was left incomplete by an earlier run") {
		t.Errorf("the second run said %s", log)
	}
	if got := read(t, filepath.Join(o.L4T, stateName)); got != stateReady {
		t.Errorf("the state is %q", got)
	}

	ctx, cancel := context.WithCancel(t.Context())
	write(t, filepath.Join(o.L4T, flashScript), "#!/bin/sh\ntouch started\nexec sleep 60\n", 0o755)
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(filepath.Join(o.L4T, "started")); err == nil {
				cancel()
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	if err := Jetson(ctx, o); !errors.Is(err, context.Canceled) || !strings.Contains(log.String(), "interrupted: the board may be half written") {
		t.Errorf("interrupted: %v\n%s", err, log)
	}
	if err := Jetson(ctx, o); !errors.Is(err, context.Canceled) || !strings.Contains(log.String(), "nothing was changed") {
		t.Errorf("interrupted before it began: %v\n%s", err, log)
	}
	if _, err := os.Stat(filepath.Join(o.L4T, freshName)); err == nil {
		t.Error("a half unpacked root file system is left")
	}
}
