package main

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"n3x/internal/sandbox"
)

// forms are the ways in which a secret may lie in a file: as it is, in hexadecimal, and in base64 at each of three places.
func forms(secret string) [][]byte {
	out := [][]byte{[]byte(secret), []byte(hex.EncodeToString([]byte(secret))), []byte(strings.ToUpper(hex.EncodeToString([]byte(secret))))}
	for i := range 3 {
		text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", i) + secret))
		out = append(out, []byte(text[4:len(text)-4]))
	}
	return out
}

// holders are the files below dir that have one of the forms, and are not older than since.
func holders(t *testing.T, dir string, secret string, since time.Time) (out []string) {
	t.Helper()
	wanted := forms(secret)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		st, err := d.Info()
		if err != nil || st.ModTime().Before(since) || st.Size() == 0 {
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return nil
		}
		defer f.Close()
		data, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		defer unix.Munmap(data) //nolint:errcheck // it was mapped
		for _, form := range wanted {
			if bytes.Contains(data, form) {
				out = append(out, path)
				break
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// newIn are the entries of the caches' folders that came since then.
func newIn(t *testing.T, since time.Time, dirs ...string) (out []string) {
	t.Helper()
	for _, dir := range dirs {
		for _, pattern := range []string{"*", "*/*", "*/*/*"} {
			found, _ := filepath.Glob(filepath.Join(dir, pattern))
			for _, path := range found {
				if st, err := os.Lstat(path); err == nil && !st.ModTime().Before(since) && st.Mode().Type()&fs.ModeSymlink == 0 {
					out = append(out, path)
				}
			}
		}
	}
	return out
}

// processes calls visit with the folder of each process in /proc.
func processes(visit func(dir string)) {
	found, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range found {
		visit(dir)
	}
}

// watch looks at all command lines and environments until stop is called, which gives those with the secret in them.
func watch(secret string) (stop func() []string) {
	var found []string
	end, done := make(chan bool), make(chan bool)
	go func() {
		defer close(done)
		for {
			processes(func(dir string) {
				for _, name := range []string{"cmdline", "environ"} {
					if text, _ := os.ReadFile(filepath.Join(dir, name)); bytes.Contains(text, []byte(secret)) {
						found = append(found, dir+"/"+name)
					}
				}
			})
			select {
			case <-end:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return func() []string { close(end); <-done; return found }
}

// TestSecrets builds an image with a secret and looks for it everywhere: only the finished image has it.
func TestSecrets(t *testing.T) {
	if os.Getenv("N3X_TEST_NETWORK") == "" {
		t.Skip("builds an image from Debian's packages: set N3X_TEST_NETWORK=1")
	}
	dir, private := project(t), t.TempDir()
	file := filepath.Join(private, "token")
	token := func(text string) {
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := "header: {version: 14}\nlocal_conf_header:\n  zz-secrets: |\n    IMAGE_SECRETS = \"" + file + ":/etc/n3x-test-secret\"\n    IMAGE_FSTYPES = \"wic tar\"\n    IMAGE_FSTYPES:remove = \"wic.zst\"\n"
	if err := os.WriteFile(filepath.Join(dir, "kas/test/secrets.yml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	chain := machineChain + ":kas/image/base.yml:kas/network/simple.yml:kas/test/secrets.yml"
	env := append(withoutToken(t), "XDG_DATA_HOME="+private)
	images := filepath.Join(dir, "build/tmp/deploy/images/qemuamd64")
	const first, second, third = "first-7Jd0aMq3vTz-secret", "second-Vb81LkXo92p-secret", "third-Qw65PdRt40y-secret"

	token(first)
	since := time.Now().Add(-time.Second)
	stop := watch(first)
	out := n3x(t, dir, 0, env, "build", chain)
	if found := stop(); found != nil {
		t.Errorf("the secret was in %v", found)
	}
	out += n3x(t, dir, 0, env, "plan", "--json", chain) + n3x(t, dir, 0, env, "build", chain, "--cmd", "bitbake -e isar-k3s-image-base")
	if strings.Contains(out, first) {
		t.Error("the secret was printed")
	}
	got := strings.Join(holders(t, dir, first, time.Time{}), " ")
	if want := filepath.Join(images, imageName+".tar") + " " + filepath.Join(images, imageName+".wic"); got != want {
		t.Errorf("the secret is in %s, not in %s alone", got, want)
	}
	home, _ := os.UserHomeDir()
	for _, path := range newIn(t, since, filepath.Join(home, ".cache/yocto/downloads"), filepath.Join(home, ".cache/yocto/sstate/n3x")) {
		for _, name := range holders(t, path, first, since) {
			t.Errorf("the secret is in the cache: %s", name)
		}
	}
	for name, mode := range map[string]fs.FileMode{".wic": 0o600, ".tar": 0o600, ".manifest": 0o644} {
		if st, err := os.Stat(filepath.Join(images, imageName+name)); err != nil || st.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, st.Mode(), err)
		}
	}
	for _, path := range []string{filepath.Join(private, "n3x"), filepath.Join(private, "n3x/key")} {
		if st, err := os.Stat(path); err != nil || st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is not the user's alone: %v", path, err)
		}
	}
	checkArchive(t, filepath.Join(images, imageName+".tar"), first)

	t.Run("changed", func(t *testing.T) {
		token(second)
		out := n3x(t, dir, 0, env, "build", chain)
		for line := range strings.Lines(out) {
			if name, ok := strings.CutPrefix(line, "start  "); ok && !strings.Contains(name, ":do_image_") {
				t.Errorf("another secret runs %s", name)
			}
		}
		if got := holders(t, dir, first, time.Time{}); got != nil {
			t.Errorf("the old secret stays in %v", got)
		}
		if got := holders(t, dir, second, time.Time{}); len(got) != 2 {
			t.Errorf("the new secret is in %v", got)
		}
	})
	t.Run("killed", func(t *testing.T) {
		token(third)
		killWhile(t, dir, env, chain)
		for _, got := range holders(t, dir, third, time.Time{}) {
			if got != filepath.Join(images, imageName+".tar") { // which may have been finished by then
				t.Errorf("a build that was killed left its secret in %s", got)
			}
		}
	})
	t.Run("refused", func(t *testing.T) {
		if err := os.Chmod(file, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, verb := range []string{"plan", "build"} {
			if out := n3x(t, dir, 2, env, verb, chain); !strings.Contains(out, file+": the secret can be read by others than its owner (mode 0644)") || !strings.Contains(out, "hint: chmod 600 "+file) {
				t.Error(out)
			}
		}
	})
}

// checkArchive looks for the secret's file, and for passwords, of which an image without test overlays has none.
func checkArchive(t *testing.T, name, secret string) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	found := 0
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch strings.TrimPrefix(h.Name, "./") {
		case "etc/n3x-test-secret":
			found++
			if text, err := io.ReadAll(r); err != nil || string(text) != secret+"\n" || h.Mode != 0o600 || h.Uid != 0 || h.Gid != 0 {
				t.Errorf("%s: %v, mode %o of %d:%d, %q", h.Name, err, h.Mode, h.Uid, h.Gid, text)
			}
		case "etc/shadow":
			found++
			text, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				if fields := strings.Split(line, ":"); len(fields) < 2 || fields[1] != "*" && fields[1] != "!" && fields[1] != "!*" {
					t.Errorf("an image for release has a password: %s", line)
				}
			}
		}
	}
	if found != 2 {
		t.Errorf("%d of 2 files are in the archive", found)
	}
}

// trigger passes text on and calls f once, when a mark has come by.
type trigger struct {
	mu   sync.Mutex
	text bytes.Buffer
	mark string
	f    func()
}

func (w *trigger) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(b)
	if w.f != nil && strings.Contains(w.text.String(), w.mark) {
		w.f()
		w.f = nil
	}
	return len(b), nil
}

// killWhile starts a build and kills its process inside the sandbox with SIGKILL while a disk with a secret is being made.
func killWhile(t *testing.T, dir string, env []string, chain string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	killed := make(chan int, 1)
	w := &trigger{mark: "start  isar-k3s-image-base:do_image_wic", f: func() {
		go func() {
			// Wait for the file system of the partition, which has the secret in it.
			for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
				if found, _ := filepath.Glob(filepath.Join(dir, "build/tmp/work/*/*/*/disk-*/*")); len(found) > 0 {
					break
				}
			}
			time.Sleep(500 * time.Millisecond)
			killed <- killInner(dir)
		}()
	}}
	cmd := &sandbox.Cmd{Host: true, Argv: []string{self, "build", chain}, Dir: dir, Stdout: w, Stderr: w, Env: append(append(os.Environ(), asProgram+"=1"), env...)}
	err = cmd.Run(t.Context())
	if exit := new(sandbox.ExitError); !errors.As(err, &exit) || exit.Status != 137 {
		t.Fatalf("%v\n%s", err, w.text.String())
	}
	if <-killed == 0 {
		t.Fatal("nothing was killed")
	}
}

// killInner kills the processes of this program in dir whose parent is one, too.
func killInner(dir string) (n int) {
	mine := map[string]string{} // pid -> its parent
	processes(func(p string) {
		cwd, _ := os.Readlink(p + "/cwd")
		status, _ := os.ReadFile(p + "/status")
		_, parent, _ := strings.Cut(string(status), "\nPPid:\t")
		parent, _, _ = strings.Cut(parent, "\n")
		if line, _ := os.ReadFile(p + "/cmdline"); cwd == dir && bytes.Contains(line, []byte("\x00build\x00")) {
			mine[filepath.Base(p)] = parent
		}
	})
	for pid, parent := range mine {
		if _, inner := mine[parent]; inner {
			number, err := strconv.Atoi(pid)
			if err == nil && unix.Kill(number, unix.SIGKILL) == nil {
				n++
			}
		}
	}
	return n
}
