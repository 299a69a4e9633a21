// SPDX-License-Identifier: MIT

package pyeval

import (
	"io/fs"
	"time"
)

// Observation is something outside of the datastore that Python has looked at: what it computed may change with it.
type Observation struct {
	Kind Looked
	Name string // the absolute path, or the environment variable; "" for the clock and for processes
}

// Looked says what an [Observation] is about.
type Looked uint8

const (
	LookedAtFile     Looked = iota // anything of it: its existence, its attributes, its content; it need not exist
	LookedAtDir                    // the names in a folder
	LookedAtEnv                    // an environment variable; Name "" stands for all
	LookedAtClock                  // the time of day
	LookedAtProcess                // a program was run, and not by [Options.Run], who knows it all; Name is its first word, for messages
	LookedAtType                   // whether there is a file and of what type it is
	LookedAtContent                // a file's content
	LookedAtOriginal               // a variable of BB_ORIGENV; Name "" stands for all
)

// Observer is what a datastore has that wants to know what the Python that is evaluated for it looks at. [Interp] and a
// [Fallback] tell it the same things; one thing may be told several times.
type Observer interface {
	Observe(o Observation)
}

// Observe tells the datastore, if it wants to know.
func (s *Site) Observe(kind Looked, name string) {
	if o, ok := s.Vars.(Observer); ok {
		o.Observe(Observation{kind, name})
	}
}

// files is the part of the file system that metadata may look at, and every look is observed.
func (r *run) files() Files { return watched{r.in.opts.Files, &r.site} }

type watched struct {
	Files
	site *Site
}

func (w watched) Stat(path string) (fs.FileInfo, error) {
	w.site.Observe(LookedAtFile, path)
	return w.Files.Stat(path)
}

func (w watched) Lstat(path string) (fs.FileInfo, error) {
	w.site.Observe(LookedAtFile, path)
	return w.Files.Lstat(path)
}

func (w watched) ReadFile(path string) ([]byte, error) {
	w.site.Observe(LookedAtContent, path)
	return w.Files.ReadFile(path)
}

func (w watched) Readlink(path string) (string, error) {
	w.site.Observe(LookedAtFile, path)
	return w.Files.Readlink(path)
}

func (w watched) ReadDir(path string) ([]fs.DirEntry, error) {
	w.site.Observe(LookedAtDir, path)
	return w.Files.ReadDir(path)
}

// types is files for those who only ask whether a path exists and what it is.
func (r *run) types() Files { return typesOnly{r.in.opts.Files, &r.site} }

type typesOnly struct {
	Files
	site *Site
}

func (w typesOnly) Stat(path string) (fs.FileInfo, error) {
	w.site.Observe(LookedAtType, path)
	return w.Files.Stat(path)
}

func (w typesOnly) Lstat(path string) (fs.FileInfo, error) {
	w.site.Observe(LookedAtType, path)
	return w.Files.Lstat(path)
}

// Listener is what a datastore has that wants to know what the Python that is evaluated for it says: bb.warn and the like.
type Listener interface {
	Heard(level, text string)
}

// Say tells the datastore, if it wants to know, and then log, which is [Options.Log], about a message. A [Fallback] calls it too.
func (s *Site) Say(log func(level, text string), level, text string) {
	if l, ok := s.Vars.(Listener); ok {
		l.Heard(level, text)
	}
	if log != nil {
		log(level, text)
	}
}

// now is the time of day.
func (r *run) now() (time.Time, error) {
	if r.in.opts.Now == nil {
		return time.Time{}, unsupported("the time of day")
	}
	r.site.Observe(LookedAtClock, "")
	return r.in.opts.Now(), nil
}
