package vmtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"n3x/internal/diag"
	"n3x/internal/vm/guest"
	"n3x/internal/vm/qemu"
)

const (
	// bootLimit is how long a machine with KVM may take until its agent answers.
	bootLimit = 60 * time.Second
	// agentGrace is how long an agent may take that has not answered when the console asks for a login name: by then it has been started.
	agentGrace = 20 * time.Second
	// overhead is what QEMU takes besides the guest's memory, in MiB: emulated, mostly for translated code.
	overhead = 128
)

// ready refuses machines that cannot be started, before any of them is.
func (l *Lab) ready(machines ...*Machine) error {
	var errs []error
	var need int64
	var each []string
	for _, m := range machines {
		err := qemu.CheckImage(m.spec.Image)
		if err == nil && m.spec.Direct {
			err = qemu.CheckDirect(m.spec.Image)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("machine %s: %w", m.spec.Name, err))
		}
		need += int64(m.Memory()) + overhead
		each = append(each, fmt.Sprintf("%s %d", m.spec.Name, m.Memory()))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	have, err := l.config.Host.Memory()
	if err != nil {
		return nil // who cannot be asked refuses nothing
	}
	if need <= have.Free>>20 {
		return nil
	}
	return diag.Userf(diag.Pos{}, "the machines need %d MiB of memory, and %s has %d left: %s, and %d each for QEMU", need, have.By, have.Free>>20, strings.Join(each, ", "), overhead).
		WithHint("lower memory: of machines in the suite, run fewer suites at once, or end other programs")
}

// Boot starts the machine and waits until its agent answers.
func (m *Machine) Boot(ctx context.Context) error {
	start := time.Now()
	if err := m.Start(ctx); err != nil {
		return err
	}
	if err := m.WaitAgent(ctx, bootLimit); err != nil {
		return err
	}
	m.lab.pace.booted(time.Since(start))
	m.lab.log(Event{Machine: m.spec.Name, Kind: "boot", Text: "is up", Took: time.Since(start)})
	return nil
}

// noAgent are the words for a system that has started without an agent.
const noAgent = "it has started and asks for a login name, but its agent does not answer"

// WaitAgent waits until the machine's agent answers. It does not wait on when the console shows that the system will not start any further, or
// when the machine ends. The error has the console's last lines and a picture.
func (m *Machine) WaitAgent(ctx context.Context, limit time.Duration) error {
	vm, agent, err := m.on()
	if err != nil {
		return err
	}
	limit = m.lab.pace.Limit(limit)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s are over", limit.Round(time.Second)))
	defer cancel()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	go func() {
		select {
		case <-vm.Done():
			giveUp(endOf(vm))
		case <-ctx.Done():
		}
	}()
	go func() {
		console := vm.Console()
		err := console.WatchBoot(ctx, func() {
			boots := console.Boots()
			time.AfterFunc(m.lab.pace.Limit(agentGrace), func() {
				if console.Boots() == boots {
					giveUp(errors.New(noAgent))
				}
			})
		})
		if trouble := (*qemu.Trouble)(nil); errors.As(err, &trouble) {
			giveUp(trouble)
		}
	}()
	if err := agent.Wait(ctx); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return m.explain(vm, fmt.Errorf("machine %s does not come up: %w", m.spec.Name, m.whyEnded(err)))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.up = m.vm == vm
	return nil
}

const bootID = "cat /proc/sys/kernel/random/boot_id"

// Reboot restarts the machine's system in good order, and waits until the new one's agent answers.
func (m *Machine) Reboot(ctx context.Context) error {
	start := time.Now()
	before, err := m.Do(ctx, bootID)
	if err != nil {
		return err
	}
	if vm, _, err := m.on(); err == nil {
		vm.Console().NewBoot() // the login prompt that it shows now is no sign of the next system
	}
	// The answer may come before the agent is stopped, or not.
	if _, err := m.Do(ctx, "systemctl reboot"); errors.As(err, new(*guest.StatusError)) {
		return err
	}
	m.mu.Lock()
	m.up = false
	m.mu.Unlock()
	for {
		if err := m.WaitAgent(ctx, bootLimit); err != nil {
			return err
		}
		if after, err := m.Do(ctx, bootID); err == nil && after != before {
			m.lab.log(Event{Machine: m.spec.Name, Kind: "boot", Text: "is up again", Took: time.Since(start)})
			return nil
		}
		if err := wait(ctx, retryAfter); err != nil {
			return fmt.Errorf("machine %s does not reboot: %w", m.spec.Name, err)
		}
	}
}

// endOf says how a machine that has ended did.
func endOf(vm *qemu.VM) error {
	if err := vm.Wait(); err != nil {
		return fmt.Errorf("its QEMU has ended: %w", err)
	}
	return errors.New("it has switched itself off")
}

// endGrace is how long a QEMU whose channels are closed may take to be gone.
const endGrace = 5 * time.Second

// whyEnded is why a machine does not answer, when it has ended, or else the error.
func (m *Machine) whyEnded(err error) error {
	vm, _, off := m.on()
	if off != nil {
		return err
	}
	wait := time.Duration(0)
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		wait = endGrace
	}
	for end := time.Now().Add(wait); ; time.Sleep(10 * time.Millisecond) {
		if ended(vm) {
			return endOf(vm)
		}
		if time.Now().After(end) {
			return err
		}
	}
}

// explain adds to an error what can be seen of the machine.
func (m *Machine) explain(vm *qemu.VM, err error) error {
	e := diag.Failedf(diag.Pos{}, "%w", err).WithNote("its console ends with\n%s", vm.Console().Recent(15))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if name, serr := m.Screenshot(ctx, "failed"); serr == nil {
		e = e.WithNote("its screen is %s, its whole console %s", name, m.log.name())
	} else {
		e = e.WithNote("its whole console is %s", m.log.name())
	}
	if strings.Contains(err.Error(), noAgent) {
		e = e.WithHint("images for tests need qemu-guest-agent: add kas/test/agent.yml to the kas files")
	}
	return e
}
