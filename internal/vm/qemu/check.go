package qemu

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"

	"n3x/internal/diag"
)

// packed are files that are often taken for disk images, by how they begin.
var packed = []struct{ begins, is, hint string }{
	{"\x28\xb5\x2f\xfd", "compressed by zstd", "unpack it: unzstd FILE"},
	{"\x1f\x8b", "compressed by gzip", "unpack it: gunzip FILE"},
	{"\xfd7zXZ\x00", "compressed by xz", "unpack it: unxz FILE"},
	{"BZh", "compressed by bzip2", "unpack it: bunzip2 FILE"},
	{"QFI\xfb", "a qcow2 image", "convert it: qemu-img convert -O raw FILE IMAGE.wic"},
	{"KDMV", "a VMDK image", "convert it: qemu-img convert -O raw FILE IMAGE.wic"},
	{"PK\x03\x04", "a zip archive", "unpack it"},
	{"version https://git-lfs", "a pointer of Git LFS", "fetch it: git lfs pull"},
}

// CheckImage refuses a file that no machine can boot: one that is missing, empty, packed, without a partition table, or cut off.
func CheckImage(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return diag.Userf(diag.Pos{}, "%w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return diag.Userf(diag.Pos{}, "%s is no disk image but a folder or a device", file)
	}
	if st.Size() == 0 {
		return diag.Userf(diag.Pos{}, "%s is empty", file).WithHint("build it again")
	}
	head := make([]byte, 2*sector)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return diag.Userf(diag.Pos{}, "read %s: %w", file, err)
	}
	for _, p := range packed {
		if bytes.HasPrefix(head[:n], []byte(p.begins)) {
			return diag.Userf(diag.Pos{}, "%s is %s, not a disk image", file, p.is).WithHint("%s", p.hint)
		}
	}
	if head[510] != 0x55 || head[511] != 0xaa {
		return diag.Userf(diag.Pos{}, "%s is no disk image: it has no partition table", file)
	}
	if end := diskEnd(head); end > st.Size() {
		return diag.Userf(diag.Pos{}, "%s is cut off: it has %d bytes, and its partition table speaks of %d", file, st.Size(), end).WithHint("copy or build it again")
	}
	if st.Size()%sector != 0 {
		return diag.Userf(diag.Pos{}, "%s is cut off: it has %d bytes, which are not whole sectors", file, st.Size()).WithHint("copy or build it again")
	}
	return nil
}

// diskEnd is how large a disk with these first sectors is at least (UEFI 2.10, tables 5.1 and 5.5).
func diskEnd(head []byte) (end int64) {
	le := binary.LittleEndian
	if header := head[sector:]; string(header[:8]) == "EFI PART" {
		if backup := le.Uint64(header[32:]); backup < 1<<50 {
			return int64(backup+1) * sector
		}
		return 1 << 62
	}
	for i := range 4 {
		if e := head[446+16*i:]; e[4] != 0 && e[4] != 0xee {
			end = max(end, (int64(le.Uint32(e[8:]))+int64(le.Uint32(e[12:])))*sector)
		}
	}
	return end
}

// CheckDirect refuses an image beside which there is nothing to boot without firmware.
func CheckDirect(image string) error {
	var m Machine
	if err := m.DirectFiles(image); err != nil {
		return err
	}
	for _, f := range []string{m.Kernel, m.Initrd} {
		if st, err := os.Stat(f); err != nil {
			return diag.Userf(diag.Pos{}, "%w", err)
		} else if st.Size() == 0 {
			return diag.Userf(diag.Pos{}, "%s is empty", f).WithHint("build it again")
		}
	}
	return nil
}
