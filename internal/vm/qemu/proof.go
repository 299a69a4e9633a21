package qemu

import (
	"encoding/binary"

	"n3x/internal/arch"
)

// The proof guest is a UEFI application of a few instructions. When the firmware reaches it, the processor has gone
// through real, protected and long mode (EL1 with its MMU on arm64), its timer interrupts and its second processor; the
// instructions then do what kernels do first, and end the machine in a way that nothing else does.

// proofStatus is QEMU's exit status after the amd64 guest wrote 0x2a to the debug-exit port.
const proofStatus = 0x2a<<1 | 1

// proofText is what the arm64 guest writes to the serial port before it powers off.
const proofText = "kvm!"

var proofCode = map[arch.Arch][]byte{
	"amd64": {
		0xdb, 0xe3, // fninit
		0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8, // mov rax, cr3; mov cr3, rax
		0x0f, 0x20, 0xe0, // mov rax, cr4
		0x48, 0x89, 0xc1, 0x48, 0x0d, 0x80, 0, 0, 0, 0x0f, 0x22, 0xe0, // mov rcx, rax; or rax, PGE; mov cr4, rax
		0x0f, 0x22, 0xe1, // mov cr4, rcx
		0xb9, 0x80, 0, 0, 0xc0, 0x0f, 0x32, 0x0f, 0x30, // mov ecx, EFER; rdmsr; wrmsr
		0xb9, 0x77, 0x02, 0, 0, 0x0f, 0x32, 0x0f, 0x30, // mov ecx, PAT; rdmsr; wrmsr
		0xb8, 1, 0, 0, 0, 0x0f, 0xa2, // mov eax, 1; cpuid
		0x0f, 0x31, // rdtsc
		0x66, 0x0f, 0xef, 0xc0, // pxor xmm0, xmm0
		0x66, 0xba, 0xf4, 0x00, 0xb0, 0x2a, 0xee, // mov dx, 0xf4; mov al, 0x2a; out dx, al
		0xf4, 0xeb, 0xfd, // hlt; jmp back to it
	},
	"arm64": words(
		0xd2a12001,                    // mov x1, #0x09000000: the serial port of the machine type virt
		0x52800000|'k'<<5, 0xb9000020, // mov w0, #'k'; str w0, [x1]
		0x52800000|'v'<<5, 0xb9000020,
		0x52800000|'m'<<5, 0xb9000020,
		0x52800000|'!'<<5, 0xb9000020,
		0x52800100, 0x72b08000, // mov w0, #0x84000008: PSCI SYSTEM_OFF
		0xd4000002, // hvc #0
		0x14000000, // b .
	),
}

func words(w ...uint32) []byte {
	var b []byte
	for _, x := range w {
		b = binary.LittleEndian.AppendUint32(b, x)
	}
	return b
}

// proofImage is the proof guest as a PE32+ image (PE format, sections 3 and 4; UEFI 2.10, 2.1.1): one executable section,
// no relocations, since the code does not care where it lies.
func proofImage(a arch.Arch) []byte {
	const align, headers, size = 0x1000, 0x1000, 0x3000
	machine := uint16(0x8664)
	if a == "arm64" {
		machine = 0xaa64
	}
	img := make([]byte, size) // large enough for QEMU to take it for a kernel with setup sectors
	le := binary.LittleEndian
	copy(img, "MZ")
	le.PutUint32(img[0x3c:], 0x40) // where the PE header is

	pe := img[0x40:]
	copy(pe, "PE\x00\x00")
	le.PutUint16(pe[4:], machine)
	le.PutUint16(pe[6:], 1)       // sections
	le.PutUint16(pe[20:], 0x70)   // size of the optional header, without data directories
	le.PutUint16(pe[22:], 0x0022) // executable, handles large addresses

	opt := pe[24:]
	le.PutUint16(opt[0:], 0x20b)   // PE32+
	le.PutUint32(opt[4:], align)   // size of code
	le.PutUint32(opt[16:], align)  // entry point
	le.PutUint32(opt[20:], align)  // base of code
	le.PutUint32(opt[32:], align)  // section alignment
	le.PutUint32(opt[36:], align)  // file alignment
	le.PutUint32(opt[56:], 0x2000) // size of the image
	le.PutUint32(opt[60:], headers)
	le.PutUint16(opt[68:], 10) // subsystem: EFI application

	sec := opt[0x70:]
	copy(sec, ".text")
	le.PutUint32(sec[8:], align)       // virtual size
	le.PutUint32(sec[12:], align)      // virtual address
	le.PutUint32(sec[16:], align)      // size in the file
	le.PutUint32(sec[20:], headers)    // offset in the file
	le.PutUint32(sec[36:], 0x60000020) // code, executable, readable
	copy(img[headers:], proofCode[a])
	return img
}
