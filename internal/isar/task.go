package isar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"n3x/internal/diag"
	"n3x/internal/sandbox"
)

// Run runs one task: its folders, its prefuncs, the function itself, its postfuncs. What they print goes to
// T/log.<task>; the scripts that were run lie beside it as run.<function>.
func (e *Engine) Run(ctx context.Context, t Task) error {
	c := &Call{Engine: e, Task: t, run: &runState{}}
	c.Data = t.Data.Copy()
	if err := c.Data.SetVar("BB_RUNTASK", t.Name); err != nil {
		return err
	}
	if err := c.Data.SetVar("BB_CURRENTTASK", strings.TrimPrefix(t.Name, "do_")); err != nil {
		return err
	}
	temp, err := c.Value("T")
	if err != nil {
		return err
	}
	logPath := filepath.Join(temp, "log."+t.Name)
	log, err := createLog(logPath)
	if err != nil {
		return err
	}
	defer log.Close()
	watch := &messages{out: log, task: t.Progress}
	c.Log = watch
	if err := e.runLogged(ctx, c); err != nil {
		watch.flush()
		fmt.Fprintf(log, "ERROR: %v\n", err)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return c.explain(err, logPath)
	}
	watch.flush()
	return nil
}

// Aside lets f work with a task's variables without running the task: no folders, no root file system, and a log of its
// own, log.<task>.aside.
func (e *Engine) Aside(ctx context.Context, t Task, f Native) error {
	c := &Call{Engine: e, Task: t, run: &runState{}}
	c.Data = t.Data.Copy()
	temp, err := c.Value("T")
	if err != nil {
		return err
	}
	log, err := createLog(filepath.Join(temp, "log."+t.Name+".aside"))
	if err != nil {
		return err
	}
	defer log.Close()
	c.Log = log
	err = f(ctx, c)
	if err != nil {
		fmt.Fprintf(log, "ERROR: %v\n", err)
	}
	return err
}

func (e *Engine) runLogged(ctx context.Context, c *Call) error {
	unlock, err := c.openTree(ctx)
	if err != nil {
		return err
	}
	err = c.runFunctions(ctx)
	return errors.Join(err, c.closeTree(err == nil), unlock())
}

func (c *Call) runFunctions(ctx context.Context) error {
	pre, err := c.Flag(c.Name, "prefuncs")
	if err != nil {
		return err
	}
	post, err := c.Flag(c.Name, "postfuncs")
	if err != nil {
		return err
	}
	for _, f := range strings.Fields(pre) {
		if err := c.Exec(ctx, f); err != nil {
			return err
		}
	}
	if err := c.Exec(ctx, c.Name); err != nil {
		return err
	}
	for _, f := range strings.Fields(post) {
		if err := c.Exec(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// createLog makes a new log and keeps the previous one as NAME.old.
func createLog(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, err
	}
	if err := os.Rename(path, path+".old"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return os.Create(path)
}

// lastLines is how much of a failed task's log is shown.
const lastLines = 20

// explain turns a task's failure into what the user sees: the end of the log, its path, and how to run it again.
func (c *Call) explain(err error, logPath string) error {
	var d *diag.Error
	if errors.Is(err, syscall.ENOSPC) {
		return DiskFull(c.Pos, err, filepath.Dir(logPath))
	}
	// The task's name comes from the run queue, and one mention of the recipe is enough.
	pos, text := c.Pos, err.Error()
	if errors.As(err, &d) && d.Pos.File == c.Pos.File && d.Pos.Line > 0 { // the line is more than the file
		pos = d.Pos
		text = strings.ReplaceAll(text, pos.String()+": ", "")
	}
	out := &diag.Error{Kind: diag.Failed, Pos: pos, Text: strings.ReplaceAll(text, c.Pos.String()+": ", ""), Err: err}
	var exit *sandbox.ExitError
	if !errors.As(err, &d) || errors.As(err, &exit) && len(d.Notes) == 0 {
		if tail := strings.TrimSuffix(tailOf(logPath, lastLines), "ERROR: "+err.Error()); strings.TrimSpace(tail) != "" {
			out.WithNote("the log ends with\n%s", tail)
		}
	}
	out.WithNote("the whole log is %s", logPath)
	if c.Replay != nil {
		out.WithNote("to run this task again: %s", c.Replay(c))
	}
	return out
}

// DiskFull turns an error that ENOSPC is the cause of into one that says so and what to do; dir is on the disk unless the
// error names a better path. An error with a hint of its own keeps it.
func DiskFull(pos diag.Pos, err error, dir string) error {
	full := diag.Failedf(pos, "the disk is full: %w", err)
	var d *diag.Error
	if errors.As(err, &d) && d.Hint != "" {
		return full
	}
	if p := (*os.PathError)(nil); errors.As(err, &p) {
		dir = filepath.Dir(p.Path)
	}
	return full.WithHint("free some space (`df -h %s`) and run the same command again", dir)
}

// tailOf gives the last n lines of a file, "" when it cannot be read.
func tailOf(path string, n int) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	const most = 16 << 10
	if st, err := f.Stat(); err == nil && st.Size() > most {
		if _, err := f.Seek(-most, io.SeekEnd); err != nil {
			return ""
		}
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}
