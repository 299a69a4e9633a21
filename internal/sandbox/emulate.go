package sandbox

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// machine is a processor architecture as an ELF file names it, and its instructions that end a program with status 0.
type machine struct {
	wide   bool // 64-bit
	number uint16
	flags  uint32
	exit   []byte
}

// machines by uname -m as QEMU shortens it: the names of its qemu-NAME programs. From the ELF specification's e_machine and
// the kernel's system call tables (exit).
var machines = map[string]machine{
	"x86_64":  {true, 62, 0, []byte{0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05}},                      // mov eax, 60; xor edi, edi; syscall
	"i386":    {false, 3, 0, []byte{0xb8, 1, 0, 0, 0, 0x31, 0xdb, 0xcd, 0x80}},                       // mov eax, 1; xor ebx, ebx; int 0x80
	"aarch64": {true, 183, 0, []byte{0xa8, 0x0b, 0x80, 0xd2, 0, 0, 0x80, 0xd2, 1, 0, 0, 0xd4}},       // mov x8, 93; mov x0, 0; svc 0
	"arm":     {false, 40, 0x05000000, []byte{1, 0x70, 0xa0, 0xe3, 0, 0, 0xa0, 0xe3, 0, 0, 0, 0xef}}, // mov r7, 1; mov r0, 0; svc 0; EABI 5
	"riscv64": {true, 243, 0, []byte{0x93, 0x08, 0xd0, 0x05, 0x13, 0x05, 0, 0, 0x73, 0, 0, 0}},       // li a7, 93; li a0, 0; ecall
}

// NoEmulation is a host on which this process cannot register emulators of its own.
type NoEmulation struct {
	Op  string // what was attempted, e.g. "mount binfmt_misc in the user namespace"
	Err error
}

// Error names what was attempted and why it did not work.
func (e *NoEmulation) Error() string { return e.Op + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *NoEmulation) Unwrap() error { return e.Err }

// emulators are the registrations of this process. The file system stays mounted, nowhere, while the descriptor is open: when
// this process ends they are gone.
var emulators struct {
	sync.Mutex
	mounted    bool
	dir        int
	registered map[string]bool
}

// Emulate makes programs of another machine ("aarch64", "arm", "riscv64", "i386", "x86_64") run in every sandbox that this
// process starts: the kernel hands them to the program whose path interpreter gives, which is opened now, so that no root needs to
// hold it. It must be a static program that takes what qemu-user takes. The registration belongs to the user namespace of
// [Enter] and ends with it; the host sees nothing of it. interpreter is called at most once for each machine.
//
// It needs Linux 6.7 with CONFIG_BINFMT_MISC; a host that does not let this process is a [*NoEmulation], and then nothing has
// changed. With the first registration, those of the host no longer count in the namespace.
func Emulate(name string, interpreter func() (path string, err error)) error {
	m, known := machines[name]
	if !known {
		return fmt.Errorf("emulate machine %q: it is not known", name)
	}
	emulators.Lock()
	defer emulators.Unlock()
	if emulators.registered[name] {
		return nil
	}
	if err := mayEmulate(); err != nil {
		return err
	}
	program, err := interpreter()
	if err != nil {
		return err
	}
	if err := m.checkInterpreter(program); err != nil {
		return fmt.Errorf("emulate %s by %s: %w", name, program, err)
	}
	if !emulators.mounted {
		if emulators.dir, err = mountBinfmt(); err != nil {
			return err
		}
		emulators.mounted, emulators.registered = true, map[string]bool{}
	}
	if err := m.register(emulators.dir, name, program); err != nil {
		return fmt.Errorf("emulate %s by %s: %w", name, program, err)
	}
	emulators.registered[name] = true
	return nil
}

// mayEmulate refuses what mounting would only show after the interpreter was fetched.
func mayEmulate() error {
	if emulators.mounted {
		return nil
	}
	if !ownUserNamespace {
		return &NoEmulation{"register an emulator", errors.New("this process has no user namespace of its own, and the host's registrations are not n3x's to change")}
	}
	fd, err := unix.Fsopen("binfmt_misc", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return refusedBinfmt(err)
	}
	unix.Close(fd)
	if !newer(6, 7) {
		return refusedBinfmt(unix.EPERM)
	}
	return nil
}

func refusedBinfmt(err error) error {
	switch {
	case errors.Is(err, unix.ENODEV):
		err = errors.New("the kernel has no binfmt_misc")
	case errors.Is(err, unix.EPERM) && !newer(6, 7):
		err = fmt.Errorf("needs Linux 6.7, and this is %s", kernelRelease())
	}
	return &NoEmulation{"mount binfmt_misc in the user namespace", err}
}

// mountBinfmt makes the user namespace's own binfmt_misc, attached to no directory.
func mountBinfmt() (dir int, err error) {
	fd, err := unix.Fsopen("binfmt_misc", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, refusedBinfmt(err)
	}
	defer unix.Close(fd)
	if err := unix.FsconfigCreate(fd); err != nil {
		return -1, refusedBinfmt(err)
	}
	dir, err = unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return -1, refusedBinfmt(err)
	}
	return dir, nil
}

// checkInterpreter refuses a program that would be found broken only when the first foreign program starts: one of another machine, or
// one that needs a loader, which no foreign root has.
func (m machine) checkInterpreter(program string) error {
	if !filepath.IsAbs(program) {
		return errors.New("its path is not absolute")
	}
	f, err := os.Open(program)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, 4096)
	n, _ := f.ReadAt(head, 0)
	return checkStatic(head[:n], m.number)
}

// checkStatic reads the beginning of an ELF file, with its program headers.
func checkStatic(head []byte, foreign uint16) error {
	if len(head) < 64 || string(head[:4]) != "\x7fELF" || head[4] != 2 || head[5] != 1 {
		return errors.New("it is no 64-bit program")
	}
	le := binary.LittleEndian
	if le.Uint16(head[18:]) == foreign {
		return errors.New("it is itself a program of that machine")
	}
	at, size, count := le.Uint64(head[32:]), uint64(le.Uint16(head[54:])), uint64(le.Uint16(head[56:]))
	if at > 4096 || size < 56 || at+size*count > uint64(len(head)) {
		return errors.New("its program headers are not where a program has them")
	}
	for i := range count {
		if le.Uint32(head[at+i*size:]) == 3 { // PT_INTERP
			return errors.New("it is not linked statically")
		}
	}
	return nil
}

// register adds a handler for ELF programs of the machine (Documentation/admin-guide/binfmt-misc.rst of the kernel).
//
// The flags: F opens the interpreter now; P tells it the program's own argv[0], and that it does; C gives it the credentials of
// a setuid program; O, implied, the program as a descriptor, since it may not be readable.
func (m machine) register(dir int, name, program string) error {
	if len(program) > 1000 || strings.ContainsAny(program, "\x01\n") {
		return errors.New("the kernel takes no such path")
	}
	magic := m.header()[:20]
	mask := bytes.Repeat([]byte{0xff}, len(magic))
	mask[7] = 0                          // EI_OSABI: System V or GNU
	magic[16], mask[16] = 2, mask[16]&^1 // e_type: ET_EXEC or ET_DYN
	rule := "\x01n3x-" + name + "\x01M\x01" + "0" + "\x01" + hexEscape(magic) + "\x01" + hexEscape(mask) + "\x01" + program + "\x01POCF"
	fd, err := unix.Openat(dir, "register", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: "binfmt_misc/register", Err: err}
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte(rule)); err != nil {
		return fmt.Errorf("register it: %w", err)
	}
	return nil
}

func hexEscape(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		fmt.Fprintf(&s, `\x%02x`, c)
	}
	return s.String()
}

// header is the ELF header of a program of the machine.
func (m machine) header() []byte {
	head := append([]byte("\x7fELF\x01\x01\x01"), make([]byte, 13)...)
	if m.wide {
		head[4] = 2
	}
	binary.LittleEndian.PutUint16(head[16:], 2) // ET_EXEC
	binary.LittleEndian.PutUint16(head[18:], m.number)
	return head
}

// program is a whole program of the machine, which only exits with status 0.
func (m machine) program() []byte {
	const base = 0x400000
	le := binary.LittleEndian
	b := le.AppendUint32(m.header(), 1) // e_version
	word := le.AppendUint32
	if m.wide {
		word = func(b []byte, v uint32) []byte { return le.AppendUint64(b, uint64(v)) }
	}
	headSize, segmentSize := uint32(52), uint32(32)
	if m.wide {
		headSize, segmentSize = 64, 56
	}
	start := headSize + segmentSize
	b = word(word(word(b, base+start), headSize), 0) // e_entry, e_phoff, e_shoff
	b = le.AppendUint32(b, m.flags)
	for _, v := range []uint16{uint16(headSize), uint16(segmentSize), 1, 0, 0, 0} {
		b = le.AppendUint16(b, v)
	}
	size := start + uint32(len(m.exit))
	const load, readExecute = 1, 5
	b = le.AppendUint32(b, load)
	if m.wide {
		b = le.AppendUint32(b, readExecute)
	}
	b = word(word(word(word(word(b, 0), base), base), size), size) // p_offset, p_vaddr, p_paddr, p_filesz, p_memsz
	if !m.wide {
		b = le.AppendUint32(b, readExecute)
	}
	return append(word(b, 0x1000), m.exit...)
}

// ran are the machines that Runs has found to run.
var ran sync.Map

// Runs reports, as an error, that programs of a machine do not run in sandboxes, by starting one in a root that holds nothing else: natively,
// by [Emulate], or by a registration of the host that has the emulator open (flag F). dir is a folder for the program.
func Runs(ctx context.Context, name, dir string) error {
	m, known := machines[name]
	if !known {
		return fmt.Errorf("run programs of machine %q: it is not known", name)
	}
	if _, done := ran.Load(name); done {
		return nil
	}
	root, err := os.MkdirTemp(dir, ".n3x-runs-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	if err := os.WriteFile(filepath.Join(root, "exit"), m.program(), 0o700); err != nil {
		return err
	}
	if err := (&Cmd{Argv: []string{"/exit"}, Root: root, Mounts: []Mount{{Type: Proc, Target: "/proc"}}}).Run(ctx); err != nil {
		return fmt.Errorf("run a program of machine %s: %w", name, err)
	}
	ran.Store(name, true)
	return nil
}

// kernelRelease is uname -r.
func kernelRelease() string {
	var u unix.Utsname
	_ = unix.Uname(&u) // cannot fail
	return unix.ByteSliceToString(u.Release[:])
}

// newer reports whether the kernel is of that version at least. One that does not tell is taken to be.
func newer(major, minor int) bool {
	var a, b int
	if _, err := fmt.Sscanf(kernelRelease(), "%d.%d", &a, &b); err != nil {
		return true
	}
	return a > major || a == major && b >= minor
}
