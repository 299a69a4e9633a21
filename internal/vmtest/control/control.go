// Package control lets other terminals find and drive the machines that one process runs.
//
// The process that holds a lab serves a Unix socket by the lab's name ([Place.Open], [Server.Show]). Only its user gets there: the socket is
// in a folder that is the user's alone, and whoever connects is asked for who he is. The others list labs ([Place.Labs]), find a machine
// by its name ([Place.Machine]), run programs in it, look at its console, and stop it. They need not be in the namespaces of the first one.
//
// A process that was killed leaves its socket behind. Nobody answers there, which is how the next one knows that it, and what the
// machines had in [Place.Own], can be removed. It is a room of its own, because a lab works without it, and because tests of it need no
// machine.
package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"n3x/internal/diag"
)

const suffix = ".sock"

// Place is where a user's labs are.
type Place struct {
	dir  string // the sockets
	labs string // a folder for each lab
}

// Find is a user's place: below runtime ($XDG_RUNTIME_DIR) when that is the user's own, else below cache, the folder for caches. It is made
// when it is not there, and refused when others could get in.
func Find(runtime, cache string) (Place, error) {
	p := Place{dir: filepath.Join(cache, "n3x", "run"), labs: filepath.Join(cache, "n3x", "vm")}
	if filepath.IsAbs(runtime) && own(runtime, 0o077) == nil && unix.Access(runtime, unix.W_OK|unix.X_OK) == nil {
		p.dir = filepath.Join(runtime, "n3x", "vm")
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return p, diag.Userf(diag.Pos{}, "make a folder for running machines: %w", err)
	}
	if err := own(p.dir, 0o077); err != nil {
		return p, diag.Userf(diag.Pos{}, "machines cannot be driven through %s: %w", p.dir, err).WithHint("chmod 700 %s, or remove it", p.dir)
	}
	return p, nil
}

// own checks that a folder is this user's, and that nobody else has rights that mask names.
func own(dir string, mask os.FileMode) error {
	st, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	var sys unix.Stat_t
	if err := unix.Lstat(dir, &sys); err != nil {
		return err
	}
	switch {
	case !st.IsDir():
		return errors.New("it is no folder")
	case int(sys.Uid) != os.Geteuid():
		return errors.New("it belongs to another user")
	case st.Mode().Perm()&mask != 0:
		return errors.New("other users can open it")
	}
	return nil
}

// Folder is where a lab keeps consoles and logs, which stay.
func (p Place) Folder(lab string) string { return filepath.Join(p.labs, lab) }

// Own is where a lab's machines keep files of their own while they run.
func (p Place) Own(lab string) string { return filepath.Join(p.labs, lab, "own") }

// labName is what labs can be called: a file's name that needs no quotes.
var labName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// CheckName refuses what is no name for a lab.
func CheckName(name string) error {
	if !labName.MatchString(name) {
		return diag.Userf(diag.Pos{}, "%q is no name for machines: letters, digits, dots, hyphens and underscores are, at most 63 of them", name)
	}
	return nil
}

// within opens the folder, and gives a path of a socket in it that fits into a socket's address, however long the folder's is.
func (p Place) within(name string) (path string, done func(), err error) {
	dir, err := os.Open(p.dir)
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(p.dir, name+suffix)
	if len(path) > 100 {
		path = fmt.Sprintf("/proc/self/fd/%d/%s%s", dir.Fd(), name, suffix)
	}
	return path, func() { dir.Close() }, nil
}

func (p Place) dial(name string) (*net.UnixConn, error) {
	path, done, err := p.within(name)
	if err != nil {
		return nil, err
	}
	defer done()
	return net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
}

// lock keeps others from making and removing sockets meanwhile.
func (p Place) lock() (unlock func(), err error) {
	dir, err := os.Open(p.dir)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { dir.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) || time.Now().After(end) {
			dir.Close()
			return nil, fmt.Errorf("lock %s: %w", p.dir, err)
		}
	}
}

// names are those of all sockets.
func (p Place) names() ([]string, error) {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), suffix); ok && CheckName(name) == nil {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}

// sweep removes what a killed process has left of a lab. The lock is held, so that nobody is about to serve it.
func (p Place) sweep(name string) error {
	conn, err := p.dial(name)
	if err == nil {
		conn.Close()
		return nil
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return nil // it is gone already, or busy
	}
	return errors.Join(os.Remove(filepath.Join(p.dir, name+suffix)), os.RemoveAll(p.Own(name)))
}

// Sweep removes what killed processes have left, and gives their labs' names.
func (p Place) Sweep() ([]string, error) {
	before, err := p.names()
	if err != nil || len(before) == 0 {
		return nil, err
	}
	unlock, err := p.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	var swept []string
	var errs []error
	for _, name := range before {
		errs = append(errs, p.sweep(name))
		if _, err := os.Lstat(filepath.Join(p.dir, name+suffix)); errors.Is(err, os.ErrNotExist) {
			swept = append(swept, name)
		}
	}
	return swept, errors.Join(errs...)
}
