package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// chunk is how much of a file goes over the channel at once.
const chunk = 256 << 10

// WriteFile makes a file in the guest of all that r gives.
func (a *Agent) WriteFile(ctx context.Context, name string, r io.Reader, mode fs.FileMode) error {
	err := a.writeFile(ctx, name, r)
	if err == nil {
		_, err = a.Do(ctx, Command{Argv: []string{"chmod", fmt.Sprintf("%04o", unixMode(mode)), "--", name}})
	}
	if err != nil {
		return fmt.Errorf("copy to the guest's %s: %w", name, err)
	}
	return nil
}

// unixMode is a mode as chmod takes it.
func unixMode(m fs.FileMode) uint32 {
	mode := uint32(m.Perm())
	for bit, flag := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if m&flag != 0 {
			mode |= bit
		}
	}
	return mode
}

func (a *Agent) writeFile(ctx context.Context, name string, r io.Reader) (err error) {
	f, err := a.open(ctx, name, "w")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close(ctx)) }()
	buf := make([]byte, chunk)
	for {
		n, rerr := io.ReadFull(r, buf)
		for part := buf[:n]; len(part) > 0; {
			var reply struct {
				Count int `json:"count"`
			}
			if err := a.call(ctx, "guest-file-write", struct {
				Handle int64  `json:"handle"`
				Data   []byte `json:"buf-b64"`
			}{f.handle, part}, &reply); err != nil {
				return err
			}
			if reply.Count <= 0 || reply.Count > len(part) {
				return fmt.Errorf("the guest's agent wrote %d of %d bytes", reply.Count, len(part))
			}
			part = part[reply.Count:]
		}
		switch {
		case errors.Is(rerr, io.EOF) || errors.Is(rerr, io.ErrUnexpectedEOF):
			return nil
		case rerr != nil:
			return rerr
		}
	}
}

// ReadFile copies a file of the guest to w.
func (a *Agent) ReadFile(ctx context.Context, name string, w io.Writer) error {
	if err := a.readFile(ctx, name, w); err != nil {
		return fmt.Errorf("copy from the guest's %s: %w", name, err)
	}
	return nil
}

func (a *Agent) readFile(ctx context.Context, name string, w io.Writer) (err error) {
	f, err := a.open(ctx, name, "r")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close(ctx)) }()
	for {
		var reply struct {
			Data []byte `json:"buf-b64"`
			EOF  bool   `json:"eof"`
		}
		if err := a.call(ctx, "guest-file-read", map[string]int64{"handle": f.handle, "count": chunk}, &reply); err != nil {
			return err
		}
		if _, err := w.Write(reply.Data); err != nil {
			return err
		}
		if reply.EOF {
			return nil
		}
	}
}

// file is an open file in the guest.
type file struct {
	a      *Agent
	handle int64
}

func (a *Agent) open(ctx context.Context, name, mode string) (file, error) {
	f := file{a: a}
	err := a.call(ctx, "guest-file-open", map[string]string{"path": name, "mode": mode}, &f.handle)
	return f, err
}

// close also runs when ctx has ended, or the agent would keep the file open.
func (f file) close(ctx context.Context) error {
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), killLimit)
		defer cancel()
	}
	return f.a.call(ctx, "guest-file-close", map[string]int64{"handle": f.handle}, nil)
}
