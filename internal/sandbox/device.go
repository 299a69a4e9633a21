package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

func mountTmpfs(to int, mode uint32) error {
	if mode == 0 {
		mode = 0o1777
	}
	return unix.Mount("tmpfs", fdPath(to), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("mode=%o", mode))
}

// mountProc makes a fresh /proc. A container that hides parts of its own /proc may not make one: then its own is shown,
// with the process ids of the container.
func (t *tree) mountProc(target string, to int) error {
	err := unix.Mount("proc", fdPath(to), "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		host, openErr := openPath("/proc")
		if openErr != nil {
			return openErr
		}
		defer unix.Close(host)
		err = bindTree(host, to, false)
	}
	if err != nil {
		return err
	}
	// Where the sandbox's root is the machine's, its postinst scripts could set the machine's sysctls.
	for _, name := range []string{"sys", "sysrq-trigger", "irq", "bus"} {
		fd, err := t.open(path.Join(target, name))
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err == nil {
			err = bindTree(fd, fd, true)
			unix.Close(fd)
		}
		if err != nil {
			return fmt.Errorf("protect %s: %w", name, err)
		}
	}
	return nil
}

// mountSys shows the host's /sys, but not how it was booted: programs that ask must not answer for the image.
func (t *tree) mountSys(target string, host, to int) error {
	if err := bindTree(host, to, true); err != nil {
		return err
	}
	firmware, err := t.open(path.Join(target, "firmware"))
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(firmware)
	return unix.Mount("tmpfs", fdPath(firmware), "tmpfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=755")
}

// mountDev makes a /dev of the host's harmless devices: a user namespace may not create any.
func (t *tree) mountDev(target string, to int) error {
	devices, err := t.openDevices() // before the host's /dev may be covered
	if err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", fdPath(to), "tmpfs", unix.MS_NOSUID, "mode=755"); err != nil {
		return err
	}
	dev, err := t.open(target)
	if err != nil {
		return err
	}
	defer unix.Close(dev)
	for name, from := range devices {
		if err := bindDevice(from, dev, name); err != nil {
			return fmt.Errorf("bind %s: %w", name, err)
		}
	}
	for _, dir := range []string{"pts", "shm"} {
		if err := unix.Mkdirat(dev, dir, 0o755); err != nil {
			return fmt.Errorf("make %s: %w", dir, err)
		}
	}
	for _, link := range [][2]string{{"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
		{"stderr", "/proc/self/fd/2"}, {"ptmx", "pts/ptmx"}} {
		if err := unix.Symlinkat(link[1], dev, link[0]); err != nil {
			return fmt.Errorf("make %s: %w", link[0], err)
		}
	}
	if err := mountPts(fdPath(dev) + "/pts"); err != nil {
		return fmt.Errorf("mount devpts: %w", err)
	}
	return unix.Mount("tmpfs", fdPath(dev)+"/shm", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777")
}

// openDevices opens what /dev will show, by name there. All but null may be missing in a small container.
func (t *tree) openDevices() (map[string]int, error) {
	paths := map[string]string{}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		paths[name] = "/dev/" + name
	}
	if console, err := os.Readlink("/proc/self/fd/0"); t.tty && err == nil && path.IsAbs(console) {
		paths["console"] = console // where ttyname(3) finds the terminal, whose own name belongs to the host's /dev/pts
	}
	devices := map[string]int{}
	for name, p := range paths {
		fd, err := openPath(p)
		if errors.Is(err, unix.ENOENT) && name != "null" {
			continue
		}
		if err != nil {
			return nil, err
		}
		devices[name] = fd
	}
	return devices, nil
}

func bindDevice(from, dev int, name string) error {
	defer unix.Close(from)
	to, err := unix.Openat(dev, name, unix.O_CREAT|unix.O_EXCL|unix.O_RDONLY|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	defer unix.Close(to)
	return bindTree(from, to, false)
}

// mountPts makes terminals belong to group 5, Debian's tty, where that id exists.
func mountPts(at string) error {
	const flags, options = unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"
	err := unix.Mount("devpts", at, "devpts", flags, options+",gid=5")
	if errors.Is(err, unix.EINVAL) {
		err = unix.Mount("devpts", at, "devpts", flags, options)
	}
	return err
}
