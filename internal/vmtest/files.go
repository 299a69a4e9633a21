package vmtest

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// duplicate is another descriptor of an open file, for a QEMU that takes it over.
func duplicate(f *os.File) (*os.File, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var derr error
	if err := raw.Control(func(old uintptr) { fd, derr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return nil, err
	}
	if derr != nil {
		return nil, derr
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// consoleLog is the file that gets what a console shows. It can be changed while the machine runs.
type consoleLog struct {
	mu sync.Mutex
	f  *os.File
}

// open makes a file the log, in place of the one before.
func (l *consoleLog) open(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	l.mu.Lock()
	old := l.f
	l.f = f
	l.mu.Unlock()
	if old != nil {
		return old.Close()
	}
	return nil
}

// Write adds to the log.
func (l *consoleLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Write(b)
}

func (l *consoleLog) name() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Name()
}

func (l *consoleLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Close()
}
