// Package sandbox starts programs: in namespaces of their own, without root, or plainly on the host.
//
// [Enter] re-executes n3x in a user and mount namespace where it is root over 65536 ids: the user's own id is 0 there and
// the sub-ids of /etc/subuid and /etc/subgid (newuidmap(1)) are the rest. Real root gets the same with the ids it has.
// From then on n3x may chown and mount. [Cmd.Run] starts one program there with its own mount, pid, ipc, uts and
// (without Network) network namespace, from a list of mounts that is plain data. Nothing outlives it: the program's pid 1
// is n3x itself ([Main]), which holds one end of a pipe and dies, and with it all below, when the other end closes.
//
// Programs of other architectures run where [Emulate] has registered an emulator in this namespace.
//
// Needs Linux 5.12 (overlayfs in user namespaces, mount_setattr), and 6.7 for Emulate. Refused: a host that forbids user namespaces
// ([EnterError]), commands whose mounts contradict each other, and deleting a tree ([Remove]) in which something is mounted.
//
// Formats and rules: user_namespaces(7), pid_namespaces(7), mount_namespaces(7), subuid(5), seccomp(2),
// Documentation/filesystems/overlayfs.rst of the kernel. This is the only package that imports os/exec.
package sandbox

import (
	"math"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// A process of n3x that was started by n3x finds in stageVar which stage it is.
const (
	stageVar    = "N3X_SANDBOX_STAGE"
	stageMapped = "mapped" // of Enter: wait until the ids are mapped, then become stageInside
	stageInside = "inside" // of Enter: the real program
	stagePlain  = "plain"  // of Enter: the real program, in the user namespace of its parent
	stageInit   = "init"   // of Cmd.Run: pid 1 of a sandbox
)

// Descriptors that a stage is started with.
const (
	controlFD = 3 // reads what the parent orders; its end means that the parent is dead
	reportFD  = 4 // takes the stage's answer
)

// defaultUmask is BitBake's too: what a build writes must not depend on whose shell started it.
const defaultUmask = 0o022

// self is this program, also after its file was replaced or deleted.
const self = "/proc/self/exe"

// Main must be the first call of main and of TestMain: when this process was started as a stage of a sandbox, it becomes
// that stage and never returns.
func Main() {
	switch os.Getenv(stageVar) {
	case stageMapped:
		awaitMap()
	case stageInit:
		runInit()
	}
}

// LookPath finds a program of the host, e.g. "git", on PATH.
func LookPath(name string) (string, error) { return exec.LookPath(name) }

// pipe makes a pipe whose ends are in blocking mode and are not inherited.
func pipe() (r, w *os.File, err error) {
	var fd [2]int
	if err := unix.Pipe2(fd[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	return os.NewFile(uintptr(fd[0]), "pipe"), os.NewFile(uintptr(fd[1]), "pipe"), nil
}

// closeOnExec keeps the descriptors from first up out of every program started later.
func closeOnExec(first int) {
	if unix.CloseRange(uint(first), math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	for fd := first; fd < 1024; fd++ {
		unix.CloseOnExec(fd)
	}
}

// retry repeats a system call that a signal interrupted.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
