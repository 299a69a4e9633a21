package sandbox

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// syncCalls are the numbers of fsync, fdatasync, sync, syncfs, sync_file_range and msync, by the architecture that
// seccomp_data names; the compat architectures are what 32-bit programs use on their 64-bit kernels.
// From the kernel's arch/*/entry/syscalls tables and include/uapi/asm-generic/unistd.h.
var syncCalls = []struct {
	arch  uint32
	calls [6]uint32
}{
	{unix.AUDIT_ARCH_X86_64, [6]uint32{74, 75, 162, 306, 277, 26}},
	{unix.AUDIT_ARCH_I386, [6]uint32{118, 148, 36, 344, 314, 144}},
	{unix.AUDIT_ARCH_AARCH64, [6]uint32{82, 83, 81, 267, 84, 227}},
	{unix.AUDIT_ARCH_ARM, [6]uint32{118, 148, 36, 373, 341, 144}},
	{unix.AUDIT_ARCH_RISCV64, [6]uint32{82, 83, 81, 267, 84, 227}},
}

// Offsets in struct seccomp_data.
const (
	dataNumber = 0
	dataArch   = 4
)

// noSyncFilter is a classic BPF program that answers 0 for the calls above, without doing them, and lets all others through.
func noSyncFilter() []unix.SockFilter {
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	ifEqual := func(k uint32, then, otherwise int) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jt: uint8(then), Jf: uint8(otherwise)}
	}
	answer := func(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }
	program := []unix.SockFilter{load(dataArch)}
	for _, a := range syncCalls {
		n := len(a.calls)
		// A block is: this architecture or skip it; load the number; one test a call; allow; suppress.
		program = append(program, ifEqual(a.arch, 0, n+3), load(dataNumber))
		for i, call := range a.calls {
			program = append(program, ifEqual(call, n-i, 0))
		}
		// RET_ERRNO with 0 as the errno is success.
		program = append(program, answer(unix.SECCOMP_RET_ALLOW), answer(unix.SECCOMP_RET_ERRNO))
	}
	return append(program, answer(unix.SECCOMP_RET_ALLOW))
}

// suppressSync installs the filter in all threads of this process, for it and all that it starts. A kernel without seccomp
// is only slower. It needs no no_new_privs, since pid 1 is root of its user namespace; so setuid programs keep working.
func suppressSync() error {
	filter := noSyncFilter()
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC|unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(filter)
	if errno == 0 || errno == unix.ENOSYS || errno == unix.EINVAL {
		return nil
	}
	return errno
}
