package isar

import (
	"context"
	_ "embed"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/arch"
	"n3x/internal/atomicfile"
	"n3x/internal/sandbox"
)

// sudo of the sandbox: everything is root already.
//
//go:embed sudo.sh
var sudo []byte

// shellTools are the Debian packages whose programs every shell function finds, as it would find them on a Debian host.
var shellTools = []string{"bash", "bzip2", "coreutils", "cpio", "dash", "diffutils", "dpkg", "file", "findutils", "gettext-base",
	"grep", "gzip", "hostname", "mawk", "openssl", "patch", "sed", "tar", "util-linux", "xz-utils", "zstd"}

// Command prepares a program of the tools tree: its root is a throw-away copy of the tools, in which the build folder,
// the layers, the caches and the recipe's root file system are seen at their own paths. cleanup must be called.
func (c *Call) Command(ctx context.Context, argv ...string) (cmd *sandbox.Cmd, cleanup func(), err error) {
	v, err := c.Values("TMPDIR", "DL_DIR", "BBLAYERS", "TOPDIR", "PP", "WORKDIR", "DEPLOY_DIR_IMAGE", "HOME",
		"TESTSUITEDIR", "SCRIPTSDIR", "BITBAKEDIR")
	if err != nil {
		return nil, nil, err
	}
	tmp, dl, layers, top, pp, work, deploy, home := v[0], v[1], strings.Fields(v[2]), v[3], v[4], v[5], v[6], v[7]
	network, err := c.Flag(c.Name, "network")
	if err != nil {
		return nil, nil, err
	}
	tools, err := c.imagerLayers(ctx)
	if err != nil {
		return nil, nil, err
	}
	scratch, err := scratchDir(filepath.Join(tmp, "n3x"))
	if err != nil {
		return nil, nil, err
	}
	cleanup = func() { sandbox.Remove(scratch) } //nolint:errcheck // a leftover scratch folder is swept by the next clean
	bin := filepath.Join(scratch, "bin")
	if err := atomicfile.Write(filepath.Join(bin, "sudo"), sudo, 0o755); err != nil {
		cleanup()
		return nil, nil, err
	}
	self, err := ownProgram(filepath.Join(bin, "n3x-repo"))
	if err != nil {
		cleanup()
		return nil, nil, err
	}
	cmd = &sandbox.Cmd{
		Argv:    argv,
		Dir:     work,
		Network: truth(network),
		Stdout:  c.Log,
		Stderr:  c.Log,
		Env: []string{"PATH=/n3x/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"HOME=" + home, "TERM=dumb", "USER=root", "LOGNAME=root", "SHELL=/bin/sh", "LC_ALL=C.UTF-8"},
	}
	cmd.Mounts = append(cmd.Mounts, sandbox.Mount{Type: sandbox.Overlay, Target: "/", Lower: tools,
		Upper: filepath.Join(scratch, "upper"), Work: filepath.Join(scratch, "work")})
	cmd.Mounts = append(cmd.Mounts, sandbox.System()...)
	// ISAR's environment names three folders that recipes may read beside the layers.
	for _, dir := range slices.Concat(layers, []string{top}, v[8:]) {
		if isDir(dir) {
			cmd.Mounts = append(cmd.Mounts, sandbox.Mount{Type: sandbox.BindRO, Source: dir, Target: dir})
		}
	}
	for _, dir := range []string{dl, tmp} {
		if isDir(dir) {
			cmd.Mounts = append(cmd.Mounts, sandbox.Mount{Type: sandbox.Bind, Source: dir, Target: dir})
		}
	}
	cmd.Mounts = append(cmd.Mounts, sandbox.Mount{Type: sandbox.BindRO, Source: bin, Target: "/n3x/bin"})
	cmd.Mounts = append(cmd.Mounts, self...)
	c.mountTree(cmd, pp, work, deploy)
	return cmd, cleanup, nil
}

// ownProgram puts this program into the sandbox at path, below /n3x/bin there: the functions of class repository call it.
func ownProgram(path string) ([]sandbox.Mount, error) {
	const exe = "/proc/self/exe"
	file, err := os.Executable()
	if err == nil && sameFile(file, exe) {
		return []sandbox.Mount{{Type: sandbox.BindRO, Source: file, Target: "/n3x/bin/" + filepath.Base(path)}}, atomicfile.Write(path, nil, 0o755)
	}
	in, err := os.Open(exe) // its file was replaced meanwhile
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return nil, atomicfile.WriteFrom(path, 0o755, func(w io.Writer) error {
		_, err := io.Copy(w, in)
		return err
	})
}

func sameFile(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// mountTree shows the recipe's root file system, with what programs in it expect, and the folders of ISAR's imager.
func (c *Call) mountTree(cmd *sandbox.Cmd, pp, work, deploy string) {
	if c.run.tree == nil {
		return
	}
	root := c.run.tree.Dir
	cmd.Mounts = append(cmd.Mounts,
		sandbox.Mount{Type: sandbox.Proc, Target: filepath.Join(root, "proc")},
		sandbox.Mount{Type: sandbox.Sys, Target: filepath.Join(root, "sys")},
		sandbox.Mount{Type: sandbox.Dev, Target: filepath.Join(root, "dev")})
	if strings.HasPrefix(c.Name, "do_image_") {
		// An image must not hold what is only mounted for the task's sake.
		cmd.Mounts = cmd.Mounts[:len(cmd.Mounts)-3]
		for source, target := range map[string]string{root: "/rootfs", work: "/work", deploy: "/deploy"} {
			if pp != "" && isDir(source) {
				cmd.Mounts = append(cmd.Mounts, sandbox.Mount{Type: sandbox.Bind, Source: source, Target: pp + target})
			}
		}
	}
}

// imagerLayers is the tools tree of this task: the common tools and, for an image task, what its type asks for.
func (c *Call) imagerLayers(ctx context.Context) ([]string, error) {
	packages := append(slices.Clone(shellTools), c.programs...)
	if strings.HasPrefix(c.Name, "do_image_") {
		more, err := c.Words("INSTALL_image_" + strings.TrimPrefix(c.Name, "do_image_"))
		if err != nil {
			return nil, err
		}
		for _, p := range more {
			if name, of, _ := strings.Cut(p, ":"); !isForeignLoader(name, arch.Arch(of)) {
				packages = append(packages, name)
			}
		}
	}
	slices.Sort(packages)
	return c.Tools.Layers(ctx, slices.Compact(packages)...)
}

// isForeignLoader tells the packages of boot loaders that Debian has on their own architecture only. They hold nothing to run here, and
// layouts take them from the image's distribution.
func isForeignLoader(name string, of arch.Arch) bool {
	if of != "" && of.Known() && of != arch.Host() {
		return true
	}
	own := map[string]arch.Arch{"grub-efi-arm64-bin": "arm64", "grub-efi-arm-bin": "armhf", "grub-efi-riscv64-bin": "riscv64"}[name]
	return own != "" && own != arch.Host()
}

// scratchDir makes a fresh folder with the two folders that an overlay needs.
func scratchDir(parent string) (string, error) {
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(parent, "run-")
	if err != nil {
		return "", err
	}
	for _, sub := range []string{"upper", "work"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// truth is BitBake's bb.utils.to_boolean for a flag: set, and not one of the words for no.
func truth(s string) bool {
	switch strings.ToLower(s) {
	case "", "0", "n", "no", "f", "false":
		return false
	}
	return true
}

// Bare prepares a program whose root is a throw-away copy of layers and who sees nothing else; its output goes to the
// task's log. cleanup must be called.
func (c *Call) Bare(layers []string, argv ...string) (cmd *sandbox.Cmd, cleanup func(), err error) {
	tmp, err := c.Value("TMPDIR")
	if err != nil {
		return nil, nil, err
	}
	scratch, err := scratchDir(filepath.Join(tmp, "n3x"))
	if err != nil {
		return nil, nil, err
	}
	cleanup = func() { sandbox.Remove(scratch) } //nolint:errcheck // as above
	cmd = &sandbox.Cmd{
		Argv: argv, Stdout: c.Log, Stderr: c.Log,
		Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TERM=dumb"},
		Mounts: append([]sandbox.Mount{{Type: sandbox.Overlay, Target: "/", Lower: layers,
			Upper: filepath.Join(scratch, "upper"), Work: filepath.Join(scratch, "work")}}, sandbox.System()...),
	}
	return cmd, cleanup, nil
}

// InScratch lets f work in a fresh folder below parent, which is removed afterwards.
func InScratch(parent string, f func(dir string) error) error {
	dir, err := os.MkdirTemp(parent, "scratch-")
	if err != nil {
		return err
	}
	return errors.Join(f(dir), sandbox.Remove(dir))
}

// Replace moves a finished file to where users find it.
func Replace(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return err
	}
	return os.Rename(from, to)
}
