package qemu

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"io"
	"slices"

	"n3x/internal/diag"
)

// PowerDown presses the power button and waits until the guest has shut down, or ctx ends.
func (v *VM) PowerDown(ctx context.Context) error {
	if err := v.qmp.execute(ctx, v.done, "system_powerdown", nil, nil); err != nil {
		return fmt.Errorf("power machine %s down: %w", v.m.Name, err)
	}
	select {
	case <-v.done:
		return v.err
	case <-ctx.Done():
		return fmt.Errorf("power machine %s down: %w", v.m.Name, context.Cause(ctx))
	}
}

// QMP runs one command of the QEMU Machine Protocol, e.g. "query-status". args and reply may be nil.
func (v *VM) QMP(ctx context.Context, command string, args, reply any) error {
	return v.qmp.execute(ctx, v.done, command, args, reply)
}

// Reset restarts the machine at once, as the reset button does.
func (v *VM) Reset(ctx context.Context) error {
	if err := v.QMP(ctx, "system_reset", nil, nil); err != nil {
		return fmt.Errorf("reset machine %s: %w", v.m.Name, err)
	}
	return nil
}

// Pause stops the machine's processors, and Resume lets them go on. The guest's clock stands still meanwhile.
func (v *VM) Pause(ctx context.Context) error { return v.QMP(ctx, "stop", nil, nil) }

// Resume undoes Pause.
func (v *VM) Resume(ctx context.Context) error { return v.QMP(ctx, "cont", nil, nil) }

// SetLink pulls the cable out of a network card, by its position, or puts it back. The guest sees its carrier go.
func (v *VM) SetLink(ctx context.Context, nic int, up bool) error {
	if nic < 0 || nic >= len(v.m.NICs) {
		return diag.Userf(diag.Pos{}, "machine %s has no network card %d; it has %d", v.m.Name, nic, len(v.m.NICs))
	}
	if err := v.QMP(ctx, "set_link", map[string]any{"name": fmt.Sprintf("nic%d", nic), "up": up}, nil); err != nil {
		return fmt.Errorf("set the link of network card %d of machine %s: %w", nic, v.m.Name, err)
	}
	return nil
}

// ChannelOpen reports whether a program in the guest has a virtio-serial port open, by its name in [Machine.Channels].
func (v *VM) ChannelOpen(ctx context.Context, name string) (bool, error) {
	var all []struct {
		Label string `json:"label"`
		Open  bool   `json:"frontend-open"`
	}
	if err := v.QMP(ctx, "query-chardev", nil, &all); err != nil {
		return false, fmt.Errorf("ask for channels of machine %s: %w", v.m.Name, err)
	}
	label := fmt.Sprintf("channel%d", slices.Index(v.m.Channels, name))
	for _, c := range all {
		if c.Label == label {
			return c.Open, nil
		}
	}
	return false, fmt.Errorf("BUG: machine %s has no channel %s", v.m.Name, name)
}

// Screenshot gives the machine's screen as a PNG picture; it needs [Machine.Display] and QEMU 7.1.
func (v *VM) Screenshot(ctx context.Context) ([]byte, error) {
	data, err := v.screenshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("take a picture of machine %s: %w", v.m.Name, err)
	}
	return data, nil
}

// maxPicture bounds what is read of a picture.
const maxPicture = 64 << 20

func (v *VM) screenshot(ctx context.Context) ([]byte, error) {
	if !v.m.Display {
		return nil, diag.Userf(diag.Pos{}, "it has no screen")
	}
	v.looking.Lock()
	defer v.looking.Unlock()
	// QEMU's descriptor has its place in the file.
	if _, err := v.theirPicture.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	if err := v.picture.Truncate(0); err != nil {
		return nil, err
	}
	if err := v.QMP(ctx, "screendump", map[string]string{"filename": nameFD(v.shown), "format": "png"}, nil); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.NewSectionReader(v.picture, 0, maxPicture))
	if err != nil {
		return nil, err
	}
	if _, err := png.DecodeConfig(bytes.NewReader(data)); err != nil {
		return nil, err
	}
	return data, nil
}
