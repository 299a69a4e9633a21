package vmtest

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/diag"
)

// Image is what became of a chain of kas files.
type Image struct {
	File string // a .wic file
	Err  error  // why there is none
}

// Chain is the kas files of a machine's image; nil when it has an image of its own.
func (s *Suite) Chain(m *MachineDef) []string {
	if m.Image != "" {
		return nil
	}
	out := slices.Concat(s.Overlays, m.Overlays)
	if s.Profile != "" {
		out = append(out, "kas/network/"+s.Profile+".yml", "kas/node/"+m.NodeOf()+".yml")
	}
	return out
}

// Chains are the chains of kas files that suites need, each once.
func Chains(suites []*Suite) [][]string {
	var out [][]string
	for _, s := range suites {
		for i := range s.Machines {
			c := s.Chain(&s.Machines[i])
			if c != nil && !slices.ContainsFunc(out, func(o []string) bool { return slices.Equal(o, c) }) {
				out = append(out, c)
			}
		}
	}
	return out
}

// images builds what is needed, each chain once, and gives each job its own.
func (r *Runner) images(ctx context.Context, jobs []job, chains [][]string) error {
	built := map[string]Image{}
	if len(chains) > 0 {
		files, err := r.Build(ctx, chains)
		if err != nil {
			return err
		}
		for i, c := range chains {
			built[strings.Join(c, ":")] = files[i]
		}
	}
	for i := range jobs {
		if jobs[i].skipped != "" {
			continue
		}
		var errs []error
		s := jobs[i].suite
		for k := range s.Machines {
			m := &s.Machines[k]
			image := m.Image
			if image == "" {
				b := built[strings.Join(s.Chain(m), ":")]
				if image = b.File; b.Err != nil {
					errs = append(errs, diag.Failedf(m.Pos, "machine %s has no image: %w", m.Name, b.Err))
				}
			} else if !filepath.IsAbs(image) {
				image = filepath.Join(filepath.Dir(s.Pos.File), image)
			}
			jobs[i].images = append(jobs[i].images, image)
		}
		jobs[i].err = errors.Join(errs...)
	}
	return nil
}
