package sandbox

import (
	"testing"

	"golang.org/x/sys/unix"
)

// run interprets the few instructions that the filter uses, for one system call.
func run(t *testing.T, program []unix.SockFilter, arch, number uint32) uint32 {
	t.Helper()
	var a uint32
	for pc := 0; pc < len(program); pc++ {
		switch in := program[pc]; in.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			a = map[uint32]uint32{dataNumber: number, dataArch: arch}[in.K]
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			if a == in.K {
				pc += int(in.Jt)
			} else {
				pc += int(in.Jf)
			}
		case unix.BPF_RET | unix.BPF_K:
			return in.K
		default:
			t.Fatalf("instruction %d has code %#x", pc, in.Code)
		}
	}
	t.Fatal("the program has no end")
	return 0
}

func TestFilter(t *testing.T) {
	t.Parallel()
	program := noSyncFilter()
	suppressed := map[uint32]map[uint32]bool{}
	for _, a := range syncCalls {
		suppressed[a.arch] = map[uint32]bool{}
		for _, call := range a.calls {
			suppressed[a.arch][call] = true
		}
	}
	suppressed[0xdead] = nil // another machine
	for arch, calls := range suppressed {
		for number := range uint32(600) {
			want := uint32(unix.SECCOMP_RET_ALLOW)
			if calls[number] {
				want = unix.SECCOMP_RET_ERRNO
			}
			if got := run(t, program, arch, number); got != want {
				t.Errorf("architecture %#x, call %d: %#x, want %#x", arch, number, got, want)
			}
		}
	}
}
