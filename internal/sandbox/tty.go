package sandbox

import (
	"os/signal"

	"golang.org/x/sys/unix"
)

// keepTerminal remembers a terminal's foreground group and modes; restore gives them back, whatever a program left behind.
func keepTerminal(fd int) (restore func()) {
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	if err != nil {
		return func() {}
	}
	modes, modesErr := unix.IoctlGetTermios(fd, unix.TCGETS)
	return func() {
		// This process is in the background until the first call below has worked, and would be stopped by it.
		if !signal.Ignored(unix.SIGTTOU) {
			signal.Ignore(unix.SIGTTOU)
			defer signal.Reset(unix.SIGTTOU)
		}
		_ = unix.IoctlSetPointerInt(fd, unix.TIOCSPGRP, group)
		if modesErr == nil {
			_ = unix.IoctlSetTermios(fd, unix.TCSETSW, modes)
		}
	}
}
