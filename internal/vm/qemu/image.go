package qemu

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"n3x/internal/arch"
	"n3x/internal/diag"
)

// loaderNames are the removable-media loaders of UEFI 2.10, 3.5.1.1, as FAT stores their names.
var loaderNames = map[string]arch.Arch{
	"BOOTX64 EFI": "amd64", "BOOTIA32EFI": "i386", "BOOTAA64EFI": "arm64", "BOOTARM EFI": "armhf", "BOOTRI~1EFI": "riscv64",
}

// ImageArch is the architecture that a disk image boots on, by the loaders in its EFI system partition; "" when it has no such
// partition or loader, or several. Errors are those of reading the file.
func ImageArch(file string) (arch.Arch, error) {
	if st, err := os.Stat(file); err != nil {
		return "", err
	} else if !st.Mode().IsRegular() { // a pipe would never open
		return "", fmt.Errorf("%s is no regular file", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	start, size, err := findESP(f)
	if err != nil || size == 0 {
		return "", err
	}
	var found arch.Arch
	err = eachDirEntry(io.NewSectionReader(f, start, size), func(name string) {
		if a, ok := loaderNames[name]; ok && found != "" && found != a {
			found = "several"
		} else if ok {
			found = a
		}
	})
	if !found.Known() {
		found = ""
	}
	return found, err
}

// sector is the block size of images.
const sector = 512

// espType is the partition type GUID of EFI system partitions (UEFI 2.10, 5.3.3) as it is stored.
var espType = []byte{0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b}

// findESP gives the first EFI system partition of a GPT or MBR disk, in bytes; without one, size is 0.
func findESP(f io.ReaderAt) (start, size int64, err error) {
	head := make([]byte, 2*sector)
	if n, err := f.ReadAt(head, 0); n < len(head) {
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return 0, 0, err
	}
	le := binary.LittleEndian
	header := head[sector:]
	if string(header[:8]) != "EFI PART" {
		for e := range 4 {
			if entry := head[446+16*e:]; head[510] == 0x55 && head[511] == 0xaa && entry[4] == 0xef {
				return sector * int64(le.Uint32(entry[8:])), sector * int64(le.Uint32(entry[12:])), nil
			}
		}
		return 0, 0, nil
	}
	at, count, length := le.Uint64(header[72:]), le.Uint32(header[80:]), le.Uint32(header[84:])
	if at > 1<<40 || count > 1<<10 || length < 128 || length > 1<<12 {
		return 0, 0, fmt.Errorf("the partition table is damaged")
	}
	entry := make([]byte, 128)
	for i := range int64(count) {
		if _, err := f.ReadAt(entry, int64(at)*sector+i*int64(length)); err != nil {
			return 0, 0, fmt.Errorf("read the partition table: %w", err)
		}
		first, last := le.Uint64(entry[32:]), le.Uint64(entry[40:])
		if bytes.Equal(entry[:16], espType) && last >= first && last < 1<<40 {
			return int64(first) * sector, int64(last-first+1) * sector, nil
		}
	}
	return 0, 0, nil
}

// eachDirEntry calls f with the 11 characters of whatever in a FAT file system looks like a file's short entry. It reads all of it:
// where directories lie, only the allocation tables would tell.
func eachDirEntry(r io.Reader, f func(name string)) error {
	buf := make([]byte, 1<<20)
	for {
		n, err := io.ReadFull(r, buf)
		for i := 0; i+32 <= n; i += 32 {
			if e := buf[i : i+32]; bytes.HasPrefix(e, []byte("BOOT")) && e[11]&^0x27 == 0 {
				f(string(e[:11]))
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// consoles are the kernel's names of the serial port, where it is not ttyS0.
var consoles = map[arch.Arch]string{"arm64": "ttyAMA0"}

// DirectFiles makes the machine boot the kernel and initrd that a build has put beside an image, with the command line that n3x's own
// layouts have. It is an error when they are not there.
func (m *Machine) DirectFiles(image string) error {
	base := strings.TrimSuffix(image, ".wic")
	kernel, initrd := "", base+"-initrd.img"
	for _, k := range []string{base + "-vmlinuz", base + "-vmlinux"} {
		if _, err := os.Stat(k); err == nil {
			kernel = k
		}
	}
	if _, err := os.Stat(initrd); kernel == "" || err != nil {
		return diag.Userf(diag.Pos{}, "a boot without firmware needs the kernel and initrd beside %s: %s-vmlinuz and %s", image, base, initrd).
			WithHint("boot with firmware")
	}
	console := "ttyS0"
	if c, ok := consoles[m.Arch]; ok {
		console = c
	}
	m.Kernel, m.Initrd = kernel, initrd
	// The root partition is the one that the layouts call "platform".
	m.Append = "root=LABEL=platform rw rootwait console=" + console + ",115200 net.ifnames=0 biosdevname=0"
	return nil
}
