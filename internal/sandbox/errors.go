package sandbox

import (
	"fmt"
	"strings"
	"syscall"
)

// ExitError is a program that ran and did not succeed.
type ExitError struct {
	Status int            // as a shell gives it: the exit status, or 128 + signal
	Signal syscall.Signal // 0 when the program exited by itself
	Line   string         // what ran, to be pasted into a shell
	Name   string         // the program and its first arguments, for messages
	Last   string         // the last lines of its standard error, as far as known
}

// Error is "dpkg --configure -a: exit status 1: <last line>".
func (e *ExitError) Error() string {
	s := fmt.Sprintf("%s: exit status %d", e.Name, e.Status)
	if e.Signal != 0 {
		s = fmt.Sprintf("%s: killed by signal %d (%v)", e.Name, int(e.Signal), e.Signal)
	}
	lines := strings.Split(strings.TrimRight(e.Last, "\n"), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		s += ": " + last
	}
	return s
}

// Reason is why the host did not let a process enter a user namespace.
type Reason int

const (
	Refused     Reason = iota // clone or the first mount was refused (EPERM, EACCES): sysctl, AppArmor, seccomp, chroot
	Exhausted                 // no more user namespaces are allowed (ENOSPC, EUSERS)
	Unsupported               // the kernel has no user namespaces
	NoHelper                  // newuidmap or newgidmap is missing
	NoSubIDs                  // the user has no range in /etc/subuid or /etc/subgid
	FewSubIDs                 // there are too few ids
	MapRefused                // newuidmap, newgidmap or the kernel refused the map
)

// EnterError is a host that does not let this process enter a sandbox.
type EnterError struct {
	Reason Reason
	Op     string // what was attempted, e.g. "create a user namespace"
	User   string // the user's name, or number
	File   string // NoSubIDs, FewSubIDs: where ids come from, e.g. "/etc/subuid"; NoHelper, MapRefused: the program
	Count  int    // FewSubIDs: how many ids there are
	Detail string // what a helper printed
	Err    error
}

// Error names what was attempted and why it did not work.
func (e *EnterError) Error() string {
	s := fmt.Sprintf("%s: %v", e.Op, e.Err)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// Unwrap gives the cause.
func (e *EnterError) Unwrap() error { return e.Err }
