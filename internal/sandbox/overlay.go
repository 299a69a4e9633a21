package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// MountOverlay mounts an overlay on m.Target, an existing directory of the current root, for this process and the sandboxes
// that it starts later, until it is unmounted. The caller is inside [Enter].
func MountOverlay(m Mount) error {
	if err := m.check(); err != nil {
		return fmt.Errorf("mount %v: %w", m, err)
	}
	result := make(chan error)
	go func() {
		// mountOverlay changes the working directory: that of this thread only, which then ends.
		runtime.LockOSThread()
		err := os.NewSyscallError("unshare", unix.Unshare(unix.CLONE_FS))
		if err == nil {
			err = mountHere(m)
		}
		result <- err
	}()
	return <-result
}

func mountHere(m Mount) error {
	sources, err := openSources([]Mount{m})
	defer func() {
		for _, fd := range sources {
			unix.Close(fd)
		}
	}()
	if err != nil {
		return err
	}
	to, err := openPath(m.Target)
	if err == nil {
		defer unix.Close(to)
		err = stack(m, sources, to, false)
	}
	if err != nil {
		return fmt.Errorf("mount %v: %w", m, err)
	}
	return nil
}

// stack mounts m on the directory behind target; one directory alone is no overlay to the kernel.
func stack(m Mount, sources map[string]int, target int, sync bool) error {
	switch {
	case len(m.Lower) == 0:
		return bindTree(sources[m.Upper], target, false)
	case m.Upper == "" && len(m.Lower) == 1:
		return bindTree(sources[m.Lower[0]], target, true)
	}
	return mountOverlay(m, sources, target, sync)
}

// mountOverlay mounts m on the directory behind target, and changes the working directory.
func mountOverlay(m Mount, sources map[string]int, target int, sync bool) error {
	lower := make([]string, 0, len(m.Lower))
	for i := len(m.Lower) - 1; i >= 0; i-- { // the kernel's order is top first
		lower = append(lower, strconv.Itoa(sources[m.Lower[i]]))
	}
	// user.* attributes mark opaque directories, also for real root: so layers are the same whoever made them.
	data := "userxattr,lowerdir=" + strings.Join(lower, ":")
	if m.Upper != "" {
		work := sources[m.Work]
		if err := forgetVolatile(work); err != nil {
			return err
		}
		data += fmt.Sprintf(",upperdir=%d,workdir=%d", sources[m.Upper], work)
		if !sync {
			data += ",volatile" // else each copy-up and the unmount would sync the whole filesystem below
		}
	}
	// Descriptors as names: no escaping, and hundreds of layers fit into the one page that mount(2) takes.
	if err := unix.Chdir("/proc/self/fd"); err != nil {
		return &os.PathError{Op: "chdir", Path: "/proc/self/fd", Err: err}
	}
	err := unix.Mount("overlay", fdPath(target), "overlay", 0, data)
	if errors.Is(err, unix.EINVAL) && m.Upper != "" {
		return fmt.Errorf("%w (%s is on %s; the upper directory of an overlay needs a local filesystem such as ext4, xfs or btrfs)",
			err, m.Upper, filesystem(sources[m.Upper]))
	}
	return err
}

// forgetVolatile removes the mark by which the kernel refuses an upper directory that was mounted without sync before. What
// a crash tore is the cache's to notice.
func forgetVolatile(work int) error {
	if err := os.RemoveAll(path.Join(fdPath(work), "work", "incompat")); err != nil {
		return fmt.Errorf("reuse the work directory: %w", err)
	}
	return nil
}

// filesystem names the type of the filesystem behind fd, for messages.
func filesystem(fd int) string {
	var s unix.Statfs_t
	if err := unix.Fstatfs(fd, &s); err != nil {
		return "an unknown filesystem"
	}
	names := map[uint32]string{unix.OVERLAYFS_SUPER_MAGIC: "overlayfs", unix.NFS_SUPER_MAGIC: "NFS", unix.V9FS_MAGIC: "9p",
		unix.FUSE_SUPER_MAGIC: "FUSE", unix.MSDOS_SUPER_MAGIC: "FAT", unix.TMPFS_MAGIC: "tmpfs", unix.PROC_SUPER_MAGIC: "proc",
		unix.ECRYPTFS_SUPER_MAGIC: "eCryptfs", unix.SMB2_SUPER_MAGIC: "SMB", unix.CIFS_SUPER_MAGIC: "CIFS"}
	if name, ok := names[uint32(s.Type)]; ok {
		return name
	}
	return fmt.Sprintf("a filesystem of type %#x", uint32(s.Type))
}
