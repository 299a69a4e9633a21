package rootfs

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"n3x/internal/debian/deb"
)

// The hand-made root filesystem: packages whose dpkg is this test program. It unpacks for real, keeps a database that is good
// enough for this room, and notes each call in /calls.

// call is one call of the fake dpkg, and what it saw around it.
type call struct {
	Args      []string
	Path      string // PATH
	Epoch     string // SOURCE_DATE_EPOCH
	Extra     string // EXTRA
	Policy    string // content of /usr/sbin/policy-rc.d
	StartStop string // content of /sbin/start-stop-daemon
	Shell     bool   // ran by sh
}

func fakeDpkg(args []string) int {
	read := func(name string) string {
		text, _ := os.ReadFile(name)
		return string(text)
	}
	note, err := json.Marshal(call{Args: args, Path: os.Getenv("PATH"), Epoch: os.Getenv("SOURCE_DATE_EPOCH"), Extra: os.Getenv("EXTRA"),
		Policy: read("/usr/sbin/policy-rc.d"), StartStop: read("/sbin/start-stop-daemon"), Shell: os.Getenv("FAKE_SHELL") != ""})
	if err != nil {
		panic(err)
	}
	appendTo("/calls", string(note)+"\n")
	status := os.NewFile(3, "status")
	switch i := slices.Index(args, "--unpack"); {
	case i >= 0:
		for _, path := range args[i+1:] {
			if code := fakeUnpack(path, status); code != 0 {
				return code
			}
		}
	case slices.Contains(args, "--configure"):
		return fakeConfigure(args[slices.Index(args, "--configure")+1:], status)
	}
	return 0
}

func appendTo(name, text string) {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		panic(err)
	}
}

// fakeUnpack unpacks, with the clock's time for conffiles left beside their places as dpkg does.
func fakeUnpack(path string, status io.Writer) int {
	d, err := deb.OpenFile(path)
	if err != nil {
		panic(err)
	}
	control, err := d.Control()
	if err != nil {
		panic(err)
	}
	p, err := d.Package()
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(status, "processing: install: %s\n", p.Name)
	var list strings.Builder
	visit := func(name string, _ *tar.Header) { list.WriteString("/" + strings.TrimPrefix(name, ".") + "\n") }
	if err := d.Unpack(context.Background(), "/", deb.UnpackOptions{Visit: visit}); err != nil {
		fmt.Fprintf(status, "status: %s : error : cannot copy extracted data: %v\n", path, err)
		return 1
	}
	appendTo("/var/lib/dpkg/info/"+p.Name+".list", list.String())
	appendTo("/var/lib/dpkg/unpacked", string(control["control"].Data)+"\n")
	if p.Name == "sleeper" {
		fmt.Println("sleeping")
		time.Sleep(time.Minute)
	}
	return 0
}

func fakeConfigure(names []string, status io.Writer) int {
	text, err := os.ReadFile("/var/lib/dpkg/unpacked")
	if err != nil {
		panic(err)
	}
	all, err := deb.ReadStanzas("unpacked", bytes.NewReader(text))
	if err != nil {
		panic(err)
	}
	var done strings.Builder
	for _, s := range all {
		name := s.Field("Package")
		if names[0] != "-a" && !slices.Contains(names, name) && !slices.Contains(names, name+":"+s.Field("Architecture")) {
			continue
		}
		fmt.Fprintf(status, "processing: configure: %s\n", name)
		switch name {
		case "bad":
			fmt.Println("Setting up bad ...\noops")
			fmt.Fprintln(status, "status: bad:amd64: error : installed bad package post-installation script subprocess returned error exit status 7")
			return 1
		case "full":
			fmt.Println("dd: No space left on device")
			return 2
		}
		done.WriteString("Status: install ok installed\n")
		for _, f := range []string{"Package", "Version", "Architecture"} {
			fmt.Fprintf(&done, "%s: %s\n", f, s.Field(f))
		}
		done.WriteString("\n")
		fmt.Fprintf(status, "status: %s: installed\n", name)
	}
	// What real scripts leave of the moment and of the clock.
	now := fmt.Sprint(time.Now().UnixNano())
	for _, name := range []string{"/etc/written", "/var/log/dpkg.log", "/etc/ssh/ssh_host_rsa_key", "/etc/machine-id", "/run/pid", "/var/lib/dpkg/status-old"} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			panic(err)
		}
		if name == "/etc/written" {
			now = "always the same"
		}
		if err := os.WriteFile(name, []byte(now), 0o644); err != nil {
			panic(err)
		}
		now = fmt.Sprint(time.Now().UnixNano())
	}
	if err := os.WriteFile("/var/lib/dpkg/status", []byte(done.String()), 0o644); err != nil {
		panic(err)
	}
	return 0
}

// fakeShell knows one script, the one that ends in "$@", and some commands that stand for initramfs generators.
func fakeShell(args []string) int {
	if len(args) == 2 && args[0] == "-ec" {
		switch args[1] {
		case "make":
			appendTo("/boot/initrd.img-"+os.Getenv("kernel_version"), "initrd "+os.Getenv("SOURCE_DATE_EPOCH")+os.Getenv("EXTRA"))
			appendTo("/var/tmp/left", "behind")
		case "fail":
			fmt.Println("no such module")
			return 3
		}
		return 0
	}
	if len(args) < 4 || args[0] != "-c" {
		return 127
	}
	err := syscall.Exec("/usr/bin/dpkg", args[3:], append(os.Environ(), "FAKE_SHELL=1"))
	panic(err)
}

// debSpec is a hand-made package.
type debSpec struct {
	name    string
	control string // further fields, each line ending in a newline
	files   map[string]string
	preinst string
	time    time.Time // zero: 2024
}

var packaged = time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC)

// writeDeb makes the package in dir and returns it as input of Install.
func writeDeb(t *testing.T, dir string, s debSpec) Deb {
	t.Helper()
	if s.time.IsZero() {
		s.time = packaged
	}
	control := "Package: " + s.name + "\n" + s.control
	for _, line := range []string{"Version: 1\n", "Architecture: amd64\n", "Maintainer: n3x <n3x@example.org>\n", "Description: test\n"} {
		if field, _, _ := strings.Cut(line, ":"); !strings.Contains(control, "\n"+field+":") {
			control += line
		}
	}
	c := deb.Contents{Control: []deb.ControlFile{{Name: "control", Mode: 0o644, Data: []byte(control)}}, ModTime: s.time, Uncompressed: true}
	if s.preinst != "" {
		c.Control = append(c.Control, deb.ControlFile{Name: "preinst", Mode: 0o755, Data: []byte(s.preinst)})
	}
	for name, text := range s.files {
		e := deb.Entry{Header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(text)), ModTime: s.time}}
		e.Open = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
		if dir, ok := strings.CutSuffix(name, "/"); ok {
			e.Header = tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755, ModTime: s.time}
		}
		c.Data = append(c.Data, e)
	}
	path := filepath.Join(dir, s.name+".deb")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := deb.Write(f, c); err != nil {
		t.Fatal(err)
	}
	d, err := deb.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	p, err := d.Package()
	if err != nil {
		t.Fatal(err)
	}
	return Deb{p, path}
}

// baseDebs are the packages without which nothing goes.
func baseDebs(t *testing.T, dir string) []Deb {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"usr/bin/dpkg": string(self), "usr/bin/sh": string(self), "usr/sbin/start-stop-daemon": "the real one", "var/lib/dpkg/": ""}
	for name, text := range libraries(t) {
		files[name] = text
	}
	return []Deb{
		writeDeb(t, dir, debSpec{name: "base-files", control: "Essential: yes\n", files: map[string]string{"etc/": "", "run/": "", "tmp/": "", "proc/": "", "sys/": "", "dev/": ""}}),
		writeDeb(t, dir, debSpec{name: "base-passwd", control: "Essential: yes\n", files: map[string]string{"usr/share/base-passwd/passwd": "root"}}),
		writeDeb(t, dir, debSpec{name: "dpkg", control: "Essential: yes\n", files: files}),
	}
}

// libraries is the dynamic linker and the libraries of this test program, if it needs any (it does when cgo is on).
func libraries(t *testing.T) map[string]string {
	t.Helper()
	exe, err := elf.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer exe.Close()
	files := make(map[string]string)
	interp := exe.Section(".interp")
	if interp == nil {
		return files
	}
	data, err := interp.Data()
	if err != nil {
		t.Fatal(err)
	}
	linker := strings.TrimRight(string(data), "\x00")
	needed, err := exe.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	add := func(name string) bool {
		text, err := os.ReadFile(name)
		if err == nil {
			files[strings.TrimPrefix(name, "/")] = string(text)
		}
		return err == nil
	}
	found := add(linker)
	for _, lib := range needed {
		found = found && slices.ContainsFunc([]string{"/lib/x86_64-linux-gnu/", "/lib64/", "/usr/lib/", "/lib/aarch64-linux-gnu/"}, func(dir string) bool {
			return add(dir + lib)
		})
	}
	if !found {
		t.Skip("the test program's libraries are not in a usual place; run with CGO_ENABLED=0")
	}
	return files
}
