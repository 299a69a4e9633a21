package sandbox

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ownMounts keeps this process's mounts to itself. op says what was attempted.
func ownMounts() (op string, err error) {
	err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	if errors.Is(err, unix.EINVAL) { // "/" is no mount point: a chroot
		err = leaveChroot()
	}
	return "make the mounts private", err
}

// leaveChroot makes the directory of a chroot the real root of this process's mount namespace. Only root gets here. Inside a
// chroot, neither can the mounts above it be made private nor does pivot_root(2) work.
func leaveChroot() error {
	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	root, err := openPath("/")
	if err != nil {
		return err
	}
	defer unix.Close(root)
	if err := climb(root); err != nil {
		return fmt.Errorf("leave the chroot: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	tree, err := unix.OpenTree(root, "", unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	if err := unix.MoveMount(tree, "", root, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH); err != nil {
		return err
	}
	if err := pivot(tree); err != nil {
		return err
	}
	return unix.Chdir(dir)
}

// climb changes from the directory root, which is this process's "/", to the one above all: a working directory outside of
// the root may go up.
func climb(root int) error {
	if err := unix.Chroot("/proc"); err != nil {
		return err
	}
	if err := unix.Fchdir(root); err != nil {
		return err
	}
	for {
		var here, above unix.Stat_t
		if err := unix.Stat(".", &here); err != nil {
			return err
		}
		if err := unix.Stat("..", &above); err != nil {
			return err
		}
		if here.Dev == above.Dev && here.Ino == above.Ino {
			return unix.Chroot(".")
		}
		if err := unix.Chdir(".."); err != nil {
			return err
		}
	}
}
