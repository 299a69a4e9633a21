package multiconfig

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"n3x/internal/build"
	"n3x/internal/diag"
	"n3x/internal/kas"
	"n3x/internal/metadata"
	"n3x/internal/progress"
)

// layers is what tells selections of layers apart: the text of bblayers.conf is the same in any build folder.
func layers(p *kas.Project) string { return p.BBLayersConf }

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:4])
}

func (s *Set) options(units []*Unit) build.Options {
	o := s.c.Options(units[0].Project)
	o.TopDir = s.c.Top
	o.KeepGoing = true
	o.Packages = filepath.Join(s.c.Top, "tmp/packages")
	o.Whole = s.c.Whole && len(units) == len(s.Units)
	for _, u := range units {
		o.Targets = append(o.Targets, u.target())
	}
	o.Replay = func(target, task string) string {
		_, rest, _ := strings.Cut(target, ":")
		id, pn, _ := strings.Cut(rest, ":")
		for _, u := range units {
			if u.ID == id {
				return fmt.Sprintf("kas-build '%s' --target %s --task %s", strings.Join(u.Files, ":"), pn, task)
			}
		}
		return s.c.Verb
	}
	return o
}

// Options are those of a build in the set's folder, for what goes with it, such as tools.
func (s *Set) Options() build.Options {
	if good := s.Good(); len(good) > 0 {
		return s.options(good)
	}
	return build.Options{}
}

// Only leaves out the units that are not wanted.
func (s *Set) Only(wanted func(*Unit) bool) {
	for _, u := range s.Units {
		if u.Err == nil && !wanted(u) {
			u.Err = ErrNotWanted
		}
	}
}

// Reason is why a unit was not built, in full; nil when it was.
func (s *Set) Reason(u *Unit) error {
	if errors.Is(u.Err, ErrNotBuilt) && s.told != nil {
		return s.told
	}
	return u.Err
}

// Values asks the configuration, without recipes, for variables, by the units' names.
func (s *Set) Values(ctx context.Context, names ...string) (map[string]map[string]string, error) {
	good := s.Good()
	if len(good) == 0 {
		return nil, nil
	}
	o := s.options(good)
	opened, err := metadata.Open(ctx, metadata.Options{TopDir: o.TopDir, Env: o.Env, Run: true, Python: o.Python, ConfigOnly: true})
	if err != nil {
		return nil, s.relocate(good, err)
	}
	defer opened.Close()
	out := map[string]map[string]string{}
	for _, u := range good {
		out[u.ID] = map[string]string{}
		for _, name := range names {
			if out[u.ID][name], err = opened.Base(u.ID).Value(name); err != nil {
				return nil, s.relocate(good, err)
			}
		}
	}
	return out, nil
}

// Build builds the units, and gives what became of each and how many tasks ran. Those that cannot even be planned are found one by one,
// and left out. What went wrong with single units is told by [Set.Failures].
func (s *Set) Build(ctx context.Context, stream *progress.Stream) ([]build.Target, int, error) {
	return s.build(ctx, s.Good(), stream)
}

func (s *Set) build(ctx context.Context, units []*Unit, stream *progress.Stream) ([]build.Target, int, error) {
	o := s.options(units)
	o.Progress = stream
	result, err := build.Run(ctx, o)
	if ctx.Err() != nil {
		return nil, 0, err
	}
	if result == nil && err != nil && len(units) > 1 {
		return s.buildPlannable(ctx, units, stream, err)
	}
	if result == nil {
		return nil, 0, s.relocate(units, err)
	}
	s.blame(units, result, err)
	return result.Targets, result.Ran, nil
}

// buildPlannable builds the units that can be planned by themselves.
func (s *Set) buildPlannable(ctx context.Context, units []*Unit, stream *progress.Stream, whole error) ([]build.Target, int, error) {
	var good []*Unit
	for _, u := range units {
		o := s.options([]*Unit{u})
		if err := s.configure(ctx, []*Unit{u}); err != nil {
			return nil, 0, err
		}
		if u.Err = build.Resolve(ctx, o); u.Err == nil {
			good = append(good, u)
		}
	}
	if err := s.configure(ctx, good); err != nil {
		return nil, 0, err
	}
	switch len(good) {
	case 0:
		return nil, 0, nil
	case len(units):
		return nil, 0, s.relocate(units, whole) // it is not one unit's fault
	}
	return s.build(ctx, good, stream)
}

// blame gives the units that were not finished their errors. What several need fails once.
func (s *Set) blame(units []*Unit, result *build.Result, err error) {
	done := map[string]bool{}
	for _, t := range result.Targets {
		done[t.Multiconfig] = t.Done
	}
	told := false
	for _, u := range units {
		if done[u.ID] {
			continue
		}
		if told = true; u.Err == nil {
			u.Err = ErrNotBuilt
		}
	}
	s.told = nil
	if err != nil {
		s.told = s.relocate(units, err)
		if !told { // something failed that no image needs
			for _, u := range units {
				u.Err = ErrNotBuilt
			}
		}
	}
}

// relocate replaces places in generated files by those in the kas files.
func (s *Set) relocate(units []*Unit, err error) error {
	for _, u := range units {
		err = u.Project.Relocate(err, filepath.Join(s.c.Top, u.conf()), u.Project.LocalConf, "local_conf_header")
		err = u.Project.Relocate(err, filepath.Join(s.c.Top, "conf/bblayers.conf"), u.Project.BBLayersConf, "bblayers_conf_header")
	}
	return err
}

// Failures are the errors of all units that have one, with what is called what, e.g. "variants".
func (s *Set) Failures(what string) error {
	var errs []error
	if s.told != nil {
		errs = append(errs, s.told)
	}
	var ids []string
	for _, u := range s.Units {
		if u.Err == nil || errors.Is(u.Err, ErrNotWanted) {
			continue
		}
		ids = append(ids, u.ID)
		if !errors.Is(u.Err, ErrNotBuilt) {
			errs = append(errs, u.Err)
		}
	}
	if ids == nil {
		return errors.Join(errs...)
	}
	return errors.Join(append(errs, diag.Failedf(diag.Pos{File: s.c.File}, "%d of %d %s were not built: %s", len(ids), len(s.Units), what, strings.Join(ids, " ")))...)
}
