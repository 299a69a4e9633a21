// Package siginfo keeps what the signatures of tasks were made of, and explains why two of them differ.
//
// Input is a signed graph; output are files beside the stamps, <STAMP>.<task>.sigdata.<signature>, in the JSON format that
// docs/siginfo.md describes. The values of variables are stored once by their content, in a folder that the files name, so
// that a thousand tasks with the same functions cost as much as one. It mirrors what bitbake's lib/bb/siggen.py writes for
// `bitbake -S none` and what bitbake-diffsigs and bitbake-dumpsig make of that; the format is this program's own.
package siginfo

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/atomicfile"
	"n3x/internal/diag"
	"n3x/internal/taskgraph"
)

// Format is the version of the files' format.
const Format = 1

// Record is what one signature was made of.
type Record struct {
	Format    int    `json:"format"`
	Recipe    string `json:"recipe"` // PN
	MC        string `json:"mc,omitempty"`
	File      string `json:"file"`
	Task      string `json:"task"`
	Signature string `json:"signature"`
	// Values is the folder of values, relative to the file's own.
	Values    string            `json:"values"`
	Variables map[string]string `json:"variables"` // names, also of functions and as "NAME[flag]", with their values' digests
	Files     []Named           `json:"files,omitempty"`
	Tasks     []Needed          `json:"tasks,omitempty"`
	NoStamp   bool              `json:"nostamp,omitempty"`
	Taint     string            `json:"taint,omitempty"` // what made the task run again (bitbake -f, -C)

	path string
	text map[string]string // values that are not in a folder yet, by digest
	live *taskgraph.Task   // what the record was made of
}

// Named is a file of [file-checksums].
type Named struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
}

// Needed is a task that the task depends on.
type Needed struct {
	Name      string `json:"name"` // e.g. "mc:x:lib:do_install"
	Signature string `json:"signature"`
	Stamp     string `json:"stamp"` // <STAMP>.<task>, relative to the file's folder
}

// Stamp is <STAMP>.<task>, to which names of stamps and of records are appended.
func Stamp(t *taskgraph.Task) (string, error) {
	stamp, err := t.Recipe.Data.Copy().Value("STAMP")
	return stamp + "." + t.Name, err
}

// Of is the record of a signed task.
func Of(t *taskgraph.Task) (*Record, error) {
	stamp, err := Stamp(t)
	if err != nil {
		return nil, err
	}
	r := &Record{Format: Format, Recipe: t.Recipe.PN, MC: t.Recipe.MC, File: t.Recipe.File, Task: t.Name, Signature: t.Signature,
		Variables: map[string]string{}, path: Path(stamp, t.Signature), text: map[string]string{}, live: t}
	stamps := map[string]string{}
	for _, d := range t.DependsOn {
		s, err := Stamp(d)
		if err != nil {
			return nil, err
		}
		if stamps[d.Name+d.Signature], err = filepath.Rel(filepath.Dir(r.path), s); err != nil {
			return nil, err
		}
	}
	for _, in := range t.Inputs {
		kind, name, _ := strings.Cut(in.Name, " ")
		switch kind {
		case "variable", "flag":
			r.Variables[name] = in.Digest
			r.text[in.Digest] = in.Text
		case "file":
			r.Files = append(r.Files, Named{name, in.Digest})
		case "task":
			r.Tasks = append(r.Tasks, Needed{name, in.Digest, stamps[name[strings.LastIndexByte(name, ':')+1:]+in.Digest]})
		case "nostamp":
			r.NoStamp = true
		case "taint":
			r.Taint = in.Digest
		}
	}
	return r, nil
}

// Path is the file of a record.
func Path(stamp, signature string) string { return stamp + ".sigdata." + signature }

// Name is how messages call the task.
func (r *Record) Name() string {
	name := r.Recipe + ":" + r.Task
	if r.MC != "" {
		name = "mc:" + r.MC + ":" + name
	}
	return name
}

// Write stores a record of [Of] beside the task's stamp and its values in the folder given.
func (r *Record) Write(values string) error {
	var err error
	if r.Values, err = filepath.Rel(filepath.Dir(r.path), values); err != nil {
		return err
	}
	for digest, text := range r.text {
		file := filepath.Join(values, digest[:2], digest)
		if _, err := os.Stat(file); err == nil {
			continue
		}
		if err := atomicfile.Write(file, []byte(text), 0o644); err != nil {
			return err
		}
	}
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return atomicfile.Write(r.path, append(data, '\n'), 0o644)
}

// Read reads a record.
func Read(path string) (*Record, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, diag.Userf(diag.Pos{}, "read signature file: %w", err)
	}
	r := &Record{path: path}
	if err := json.Unmarshal(data, r); err != nil {
		e := diag.Userf(diag.Pos{File: path}, "this is no signature file of n3x: %w", err)
		if strings.HasPrefix(string(data), "\x28\xb5\x2f\xfd") {
			return nil, e.WithHint("BitBake wrote it; compare its files with bitbake's own bitbake-diffsigs")
		}
		return nil, e
	}
	if r.Format != Format {
		return nil, diag.Userf(diag.Pos{File: path}, "this signature file has format %d; only %d is known", r.Format, Format)
	}
	return r, nil
}

// Value is the value of one of the record's variables.
func (r *Record) Value(name string) (string, error) {
	digest, ok := r.Variables[name]
	if !ok || len(digest) < 2 {
		return "", nil
	}
	if text, ok := r.text[digest]; ok {
		return text, nil
	}
	data, err := os.ReadFile(filepath.Join(filepath.Dir(r.path), r.Values, digest[:2], digest))
	if errors.Is(err, fs.ErrNotExist) {
		return "", diag.Userf(diag.Pos{File: r.path}, "the value of %s is no longer stored", name)
	}
	return string(data), err
}

// needed is the record of a task that this one's depends on, or nil when it is not stored.
func (r *Record) needed(n Needed) *Record {
	if r.live != nil {
		for _, d := range r.live.DependsOn {
			if d.Signature == n.Signature && strings.HasSuffix(n.Name, ":"+d.Name) {
				other, err := Of(d)
				if err != nil {
					return nil
				}
				return other
			}
		}
	}
	if n.Stamp == "" {
		return nil
	}
	other, err := Read(Path(filepath.Join(filepath.Dir(r.path), n.Stamp), n.Signature))
	if err != nil {
		return nil
	}
	return other
}

// Latest are the records of a task, the newest first.
func Latest(stamp string) ([]string, error) {
	dir, prefix := filepath.Split(stamp)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	type dated struct {
		path string
		time int64
	}
	var found []dated
	for _, e := range entries {
		if sig, ok := strings.CutPrefix(e.Name(), prefix+".sigdata."); ok && sig != ranSuffix {
			if info, err := e.Info(); err == nil {
				found = append(found, dated{filepath.Join(dir, e.Name()), info.ModTime().UnixNano()})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b dated) int {
		switch {
		case a.time > b.time:
			return -1
		case a.time < b.time:
			return 1
		}
		return strings.Compare(a.path, b.path)
	})
	out := make([]string, len(found))
	for i, f := range found {
		out[i] = f.path
	}
	return out, nil
}

const (
	ranSuffix = "ran" // <stamp>.sigdata.ran holds the signature of the last run
	kept      = 4     // records of a task; older ones are removed when it runs
)

// Ran stores the record of a task that was run just now, and forgets the oldest ones.
func Ran(t *taskgraph.Task, values string) error {
	r, err := Of(t)
	if err != nil {
		return err
	}
	if err := r.Write(values); err != nil {
		return err
	}
	stamp, err := Stamp(t)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(Path(stamp, ranSuffix), []byte(t.Signature+"\n"), 0o644); err != nil {
		return err
	}
	all, err := Latest(stamp)
	if err != nil || len(all) <= kept {
		return err
	}
	for _, old := range all[kept:] {
		if old != r.path {
			if err := os.Remove(old); err != nil {
				return err
			}
		}
	}
	return nil
}

// LastRun is the record of a task's last run, or nil when none is stored.
func LastRun(stamp string) (*Record, error) {
	sig, err := os.ReadFile(Path(stamp, ranSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := Read(Path(stamp, strings.TrimSpace(string(sig))))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return r, err
}
