package qemu

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"n3x/internal/diag"
	"n3x/internal/sandbox"
)

// startLimit is how long QEMU may take to answer; it has nothing to do with the guest.
const startLimit = 30 * time.Second

// quitGrace is how long QEMU may take to end after it was told to.
const quitGrace = 5 * time.Second

// VM is a running machine.
type VM struct {
	m       Machine
	cmd     *sandbox.Cmd
	cancel  context.CancelFunc
	console *Console
	qmp     *qmp
	ports   map[string]net.Conn // by the names of Machine.Channels
	done    chan struct{}       // closed when QEMU and all that belongs to it is gone
	err     error               // why it ended; valid after done
	closing chan struct{}       // closed when Close was called
	jobs    atomic.Int64        // how many were begun

	looking               sync.Mutex // held while a picture is taken
	picture, theirPicture *os.File   // where QEMU writes what the screen shows, and with what descriptor; nil without a screen
	shown                 int        // the number by which QEMU knows it
}

// Start runs the machine. It ends when the guest powers off, by [VM.Close], or when ctx ends.
func Start(ctx context.Context, t Tools, m Machine) (*VM, error) {
	m = m.withDefaults()
	if err := m.check(); err != nil {
		closeAll(m.sockets())
		return nil, err
	}
	v := &VM{m: m, ports: map[string]net.Conn{}, done: make(chan struct{}), closing: make(chan struct{})}
	inherit, err := v.prepare(t)
	if err != nil {
		closeAll(inherit)
		closeAll(m.sockets())
		v.closeChannels()
		return nil, err
	}
	run, cancel := context.WithCancel(ctx)
	v.cancel = cancel
	go v.run(run, inherit)
	if v.console != nil {
		go v.console.read()
	}
	startCtx, stop := context.WithTimeout(run, startLimit)
	defer stop()
	if err := v.qmp.greet(startCtx, v.done); err != nil {
		return nil, v.notStarted(ctx, err)
	}
	return v, nil
}

// notStarted explains why QEMU does not answer; most often it has ended, with a complaint about its command line.
func (v *VM) notStarted(ctx context.Context, err error) error {
	if errors.Is(err, errEnded) {
		select {
		case <-v.done:
		case <-time.After(quitGrace):
		}
	}
	v.cancel()
	<-v.done
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if v.err != nil && !errors.Is(v.err, context.Canceled) {
		err = v.err
	}
	return diag.Failedf(diag.Pos{}, "start machine %s: %w", v.m.Name, err).WithNote("command: %s", v.cmd.Line())
}

// sockets are those that the machine has taken over.
func (m *Machine) sockets() []*os.File {
	var all []*os.File
	for _, n := range m.NICs {
		if n.Socket != nil {
			all = append(all, n.Socket)
		}
	}
	return all
}

// check refuses wrong descriptions.
func (m *Machine) check() error {
	if err := m.validate(); err != nil {
		return err
	}
	return m.absolute()
}

// prepare makes the machine's own files, its channels and its command. inherit are the descriptors that QEMU gets.
func (v *VM) prepare(t Tools) (inherit []*os.File, err error) {
	m := &v.m
	shared := map[string]string{}
	see := func(path string) string {
		if path == "" {
			return ""
		}
		if _, ok := shared[path]; !ok {
			shared[path] = t.shown(path, len(shared))
		}
		return shared[path]
	}
	w := view{kernel: see(m.Kernel), initrd: see(m.Initrd), nicFD: map[int]int{}, overlayFD: map[int]int{}}
	for _, d := range m.Disks {
		w.disks = append(w.disks, see(d.Path))
	}
	if m.Firmware != nil {
		w.code = see(m.Firmware.Code)
	}
	add := func(f *os.File) int {
		inherit = append(inherit, f)
		return firstFD + len(inherit) - 1
	}
	if err := v.channels(&w, add); err != nil {
		return inherit, err
	}
	if err := v.files(&w, add); err != nil {
		return inherit, diag.Failedf(diag.Pos{}, "start machine %s: %w", m.Name, err)
	}
	for i, n := range m.NICs {
		if n.Socket != nil {
			w.nicFD[i] = add(n.Socket)
		}
	}
	v.cmd, err = t.command(m.Arch, shared)
	if err != nil {
		return inherit, err
	}
	v.cmd.Argv = append(v.cmd.Argv, m.args(w)...)
	v.cmd.ExtraFiles = inherit
	if m.Terminal != nil {
		v.cmd.Stdin, v.cmd.Stdout = m.Terminal.In, m.Terminal.Out
		v.cmd.TTY = !v.cmd.Host && term.IsTerminal(int(m.Terminal.In.Fd()))
	}
	return inherit, nil
}

// channels makes the sockets between QEMU and this process.
func (v *VM) channels(w *view, add func(*os.File) int) error {
	if v.m.Terminal == nil {
		ours, theirs, err := channel()
		if err != nil {
			return err
		}
		v.console = newConsole(ours, v.m.Log, v.done)
		w.serialFD = add(theirs)
	}
	ours, theirs, err := channel()
	if err != nil {
		return err
	}
	v.qmp = newQMP(ours)
	v.qmp.event = func(name string) {
		if name == "RESET" && v.console != nil {
			v.console.NewBoot()
		}
	}
	w.qmpFD = add(theirs)
	for _, name := range v.m.Channels {
		ours, theirs, err := channel()
		if err != nil {
			return err
		}
		v.ports[name] = ours
		w.channelFD = append(w.channelFD, add(theirs))
	}
	return nil
}

// files makes the machine's files without names.
func (v *VM) files(w *view, add func(*os.File) int) error {
	m := &v.m
	if m.Firmware != nil {
		vars, err := unnamedCopy(m.Dir, m.Firmware.Vars)
		if err != nil {
			return fmt.Errorf("copy firmware variables: %w", err)
		}
		w.varsFD = add(vars)
	}
	for i, d := range m.Disks {
		if d.Writable {
			continue
		}
		overlay, err := m.overlay(d)
		if err != nil {
			return err
		}
		w.overlayFD[i] = add(overlay)
	}
	if !m.Display {
		return nil
	}
	var err error
	if v.picture, err = unnamed(m.Dir); err != nil {
		return err
	}
	theirs, err := writeOnly(v.picture)
	if err != nil {
		return err
	}
	w.pictureFD = add(theirs)
	v.theirPicture, v.shown = theirs, w.pictureFD
	return nil
}

// overlay is a descriptor of where the changes of a disk go.
func (m *Machine) overlay(d Disk) (*os.File, error) {
	if d.Overlay != nil {
		return duplicate(d.Overlay)
	}
	st, err := os.Stat(d.Path)
	if err != nil {
		return nil, err
	}
	return NewOverlay(m.Dir, st.Size())
}

// run is QEMU's life.
func (v *VM) run(ctx context.Context, inherit []*os.File) {
	restore := func() {}
	if t := v.m.Terminal; t != nil && term.IsTerminal(int(t.In.Fd())) {
		// QEMU makes the terminal raw; when it is killed, nobody else would undo that.
		if state, err := term.GetState(int(t.In.Fd())); err == nil {
			restore = func() { _ = term.Restore(int(t.In.Fd()), state) }
		}
	}
	err := v.cmd.Run(ctx)
	restore()
	closeAll(inherit)
	var exit *sandbox.ExitError
	if errors.As(err, &exit) && exit.Last != "" {
		err = &endError{exit}
	}
	if err == nil && ctx.Err() != nil { // told to, QEMU ends without complaint
		err = context.Cause(ctx)
	}
	select {
	case <-v.closing:
		err = nil
	default:
	}
	v.err = err
	if v.console != nil {
		v.console.finish()
	}
	v.closeChannels()
	v.cancel()
	close(v.done)
}

// endError is a QEMU that ended with a complaint.
type endError struct{ exit *sandbox.ExitError }

func (e *endError) Error() string { return "QEMU: " + strings.TrimSpace(e.exit.Last) }
func (e *endError) Unwrap() error { return e.exit }

// Machine is the machine's description, with defaults filled in.
func (v *VM) Machine() Machine { return v.m }

// Line is QEMU's command as a line to paste into a shell.
func (v *VM) Line() string { return v.cmd.Line() }

// Console is the serial console; nil when the terminal has it.
func (v *VM) Console() *Console { return v.console }

// Channel is this side of a virtio-serial port; nil when [Machine.Channels] has no such name.
func (v *VM) Channel(name string) net.Conn { return v.ports[name] }

// Done is closed when the machine has ended.
func (v *VM) Done() <-chan struct{} { return v.done }

// Wait waits until the machine has ended. An end by the guest or by Close is no error.
func (v *VM) Wait() error {
	<-v.done
	return v.err
}

// Close ends the machine at once, as pulling the plug does, and waits until nothing of it is left. It may be called again.
func (v *VM) Close() error {
	select {
	case <-v.closing:
	default:
		close(v.closing)
		ctx, stop := context.WithTimeout(context.Background(), quitGrace)
		defer stop()
		if v.qmp.execute(ctx, v.done, "quit", nil, nil) == nil {
			select {
			case <-v.done:
			case <-ctx.Done():
			}
		}
		v.cancel()
	}
	return v.Wait()
}

func (v *VM) closeChannels() {
	if v.picture != nil {
		v.picture.Close()
	}
	if v.console != nil {
		v.console.conn.Close()
	}
	if v.qmp != nil {
		v.qmp.conn.Close()
	}
	for _, c := range v.ports {
		c.Close()
	}
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// channel is a pair of connected stream sockets: ours, and the one that QEMU inherits. They need no name in the file
// system, and nothing can be lost between QEMU's start and ours.
func channel() (ours net.Conn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a channel to QEMU: %w", err)
	}
	mine := os.NewFile(uintptr(fds[0]), "channel")
	theirs = os.NewFile(uintptr(fds[1]), "channel")
	defer mine.Close() // FileConn has a copy
	if ours, err = net.FileConn(mine); err != nil {
		theirs.Close()
		return nil, nil, fmt.Errorf("make a channel to QEMU: %w", err)
	}
	return ours, theirs, nil
}
