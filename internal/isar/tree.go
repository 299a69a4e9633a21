package isar

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"n3x/internal/atomicfile"
	"n3x/internal/sandbox"
)

// Layer is one directory of a recipe's root file system, and the task that made it.
type Layer struct {
	Task   string    // e.g. "do_rootfs_postprocess"
	Dir    string    // overlay upper directory
	Shared bool      // in the cache, used by others too; never written again
	Base   bool      // of Debian's packages and settings alone, which its key stands for
	Epoch  time.Time // of a shared layer: the newest of its packages
}

// Tree is a recipe's root file system while one of its tasks runs: layers, and one on top that the task writes.
type Tree struct {
	Dir    string  // where it is mounted: ROOTFSDIR, or beside a shared layer that is being made
	Layers []Layer // bottom first, without the task's own
	Upper  string  // the task's own layer
	work   string
	start  time.Time
	epoch  time.Time // what times in the task's own layer become
}

// Dirs are the directories of the finished layers, bottom first.
func (t *Tree) Dirs() []string {
	dirs := make([]string, len(t.Layers))
	for i, l := range t.Layers {
		dirs[i] = l.Dir
	}
	return dirs
}

// openTree mounts the recipe's root file system if it has one, as its tasks so far left it, with a fresh layer on
// top. The returned function lets the next task of the recipe have it.
func (c *Call) openTree(ctx context.Context) (unlock func() error, err error) {
	v, err := c.Values("ROOTFSDIR", "WORKDIR")
	if err != nil {
		return nil, err
	}
	root, work := v[0], v[1]
	if root == "" {
		return func() error { return nil }, nil
	}
	m, _ := c.trees.LoadOrStore(work, &sync.Mutex{})
	m.(*sync.Mutex).Lock()
	unlock = func() error { m.(*sync.Mutex).Unlock(); return nil }
	layers, err := ReadLayers(work)
	if err == nil {
		layers = slices.DeleteFunc(layers, func(l Layer) bool { return !slices.Contains(c.Ancestors, l.Task) })
		if len(layers) > 0 {
			err = c.emulateTree(ctx)
		}
		if len(layers) > 0 && err == nil {
			err = c.MountTree(layers)
		}
	}
	if err != nil {
		return nil, errors.Join(err, unlock())
	}
	return unlock, nil
}

// MountTree mounts layers at ROOTFSDIR with a fresh layer of this task on top.
func (c *Call) MountTree(layers []Layer) error {
	work, err := c.Value("WORKDIR")
	if err != nil {
		return err
	}
	epoch, err := c.treeEpoch(layers)
	if err != nil {
		return err
	}
	dir, err := c.Value("ROOTFSDIR")
	if err != nil {
		return err
	}
	return c.mountOver(dir, layers, filepath.Join(work, "layers", c.Name), epoch)
}

// treeEpoch is the time of what a task adds to layers: the newest of their packages, so that a commit that changes
// nothing else changes nothing here either; the image itself then bears no time after its own SOURCE_DATE_EPOCH. It
// becomes the task's SOURCE_DATE_EPOCH, except for tasks that make the image.
func (c *Call) treeEpoch(layers []Layer) (time.Time, error) {
	epoch, err := c.Epoch()
	if err != nil || strings.HasPrefix(c.Name, "do_image_") {
		return epoch, err
	}
	var newest time.Time
	for _, l := range layers {
		if !l.Epoch.IsZero() && l.Epoch.After(newest) {
			newest = l.Epoch
		}
	}
	if newest.IsZero() {
		return epoch, nil
	}
	return newest, c.Data.SetVar("SOURCE_DATE_EPOCH", strconv.FormatInt(newest.Unix(), 10))
}

// mountOver mounts layers at dir with an empty one at upper on top.
func (c *Call) mountOver(dir string, layers []Layer, upper string, epoch time.Time) error {
	t := &Tree{Dir: dir, Layers: layers, Upper: upper, work: upper + ".work", start: time.Now(), epoch: epoch}
	for _, dir := range []string{t.Upper, t.work} {
		if err := sandbox.Remove(dir); err != nil {
			return err
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(t.Dir, 0o755); err != nil {
		return err
	}
	if err := sandbox.MountOverlay(sandbox.Mount{Type: sandbox.Overlay, Target: t.Dir, Lower: t.Dirs(), Upper: t.Upper, Work: t.work}); err != nil {
		return err
	}
	c.run.tree = t
	return nil
}

// closeTree unmounts the tree and records the task's layer when the task succeeded and changed something.
func (c *Call) closeTree(keep bool) error {
	t := c.run.tree
	if t == nil {
		return nil
	}
	c.run.tree = nil
	if err := errors.Join(unmount(t.Dir), sandbox.Remove(t.work)); err != nil {
		return err
	}
	empty, err := isEmpty(t.Upper)
	if err != nil {
		return err
	}
	layers := t.Layers
	if empty || !keep {
		if err := sandbox.Remove(t.Upper); err != nil {
			return err
		}
	} else {
		if err := settleTimes(t.Upper, t.start, time.Now(), t.epoch); err != nil {
			return err
		}
		layers = append(slices.Clone(layers), Layer{Task: c.Name, Dir: t.Upper})
	}
	if !keep {
		return nil
	}
	work, err := c.Value("WORKDIR")
	if err != nil {
		return err
	}
	return writeLayers(work, layers)
}

func unmount(dir string) error {
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		return &os.PathError{Op: "unmount", Path: dir, Err: err}
	}
	return nil
}

func layersFile(work string) string { return filepath.Join(work, "layers", "stack.json") }

// ReadLayers is the stack of layers that the tasks of a recipe have left in its work folder.
func ReadLayers(work string) ([]Layer, error) {
	data, err := os.ReadFile(layersFile(work))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var layers []Layer
	return layers, json.Unmarshal(data, &layers)
}

func writeLayers(work string, layers []Layer) error {
	data, err := json.MarshalIndent(layers, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(layersFile(work), append(data, '\n'), 0o644)
}

func isEmpty(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	return len(entries) == 0, err
}

// settleTimes gives everything in a layer that was written between start and end the time epoch: the clock of the
// machine that builds leaves no trace. Times that packages or recipes set stay.
func settleTimes(layer string, start, end, epoch time.Time) error {
	start = start.Add(-2 * time.Second) // the kernel's coarse clock lags
	stamp := unix.NsecToTimespec(epoch.UnixNano())
	return filepath.WalkDir(layer, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if m := info.ModTime(); m.Before(start) || m.After(end) {
			return nil
		}
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{stamp, stamp}, unix.AT_SYMLINK_NOFOLLOW)
	})
}

// Epoch is the time that what the task adds to the tree bears.
func (t *Tree) Epoch() time.Time { return t.epoch }

// DropTree unmounts the tree and forgets what the task wrote to it; MountTree must follow.
func (c *Call) DropTree() ([]Layer, error) {
	t := c.run.tree
	c.run.tree = nil
	return t.Layers, errors.Join(unmount(t.Dir), sandbox.Remove(t.work), sandbox.Remove(t.Upper))
}

// KeepTree unmounts the tree and makes what the task wrote so far a layer of its own, called name; MountTree must follow.
func (c *Call) KeepTree(name string) ([]Layer, error) {
	t := c.run.tree
	c.run.tree = nil
	if err := errors.Join(unmount(t.Dir), sandbox.Remove(t.work)); err != nil {
		return nil, err
	}
	if err := settleTimes(t.Upper, t.start, time.Now(), t.epoch); err != nil {
		return nil, err
	}
	dir := t.Upper + "." + name
	if err := sandbox.Remove(dir); err != nil {
		return nil, err
	}
	if err := os.Rename(t.Upper, dir); err != nil {
		return nil, err
	}
	return append(slices.Clone(t.Layers), Layer{Task: c.Name, Dir: dir}), nil
}

// RemoveLayer deletes a layer's directory, if it exists.
func RemoveLayer(dir string) error { return sandbox.Remove(dir) }

// Derive makes a shared layer: it mounts layers with an empty one on top, lets change work on the tree, and puts the
// result into dir, unless dir exists. Times become epoch, and SOURCE_DATE_EPOCH is epoch too, so that the layer does not
// depend on who needs it first.
func (c *Call) Derive(dir string, layers []Layer, epoch time.Time, change func(c *Call) error) (Layer, error) {
	layer := Layer{Task: c.Name, Dir: dir, Shared: true, Epoch: epoch}
	if isDir(dir) {
		return layer, nil
	}
	lock, err := atomicfile.WaitLock(dir + ".lock")
	if err != nil {
		return layer, err
	}
	defer lock.Unlock()
	if isDir(dir) {
		return layer, nil
	}
	sub := *c
	sub.run = &runState{}
	sub.Data = c.Data.Copy()
	if err := sub.Data.SetVar("SOURCE_DATE_EPOCH", strconv.FormatInt(epoch.Unix(), 10)); err != nil {
		return layer, err
	}
	// Not at ROOTFSDIR: another job may have the recipe's root file system mounted there.
	if err := sub.mountOver(dir+".root", layers, dir+".new", epoch); err != nil {
		return layer, err
	}
	t := sub.run.tree
	err = change(&sub)
	err = errors.Join(err, unmount(t.Dir), os.Remove(t.Dir), sandbox.Remove(t.work))
	if err == nil {
		err = settleTimes(t.Upper, t.start, time.Now(), epoch)
	}
	if err == nil {
		err = os.Rename(t.Upper, dir)
	}
	if err != nil {
		return layer, errors.Join(err, sandbox.Remove(t.Upper))
	}
	return layer, nil
}
