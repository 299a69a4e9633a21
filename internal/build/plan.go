package build

import (
	"context"
	"time"

	"n3x/internal/tools"
)

// PlannedTask is one task of a plan.
type PlannedTask struct {
	Name      string   `json:"name"` // e.g. "systemd-networkd-config:do_install"
	ID        string   `json:"id"`   // as BitBake names it, e.g. "/layer/recipes/a_1.bb:do_install"
	Recipe    string   `json:"recipe"`
	DependsOn []string `json:"depends_on,omitempty"`
	Signature string   `json:"signature"`
	Done      bool     `json:"done"` // its stamp is valid: building would not run it
}

// Plan lists the tasks that building o.Targets takes, in an order in which they could run, and runs none of them.
func Plan(ctx context.Context, o Options) ([]PlannedTask, error) {
	s, err := open(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := s.plan(ctx); err != nil {
		return nil, err
	}
	if err := s.findSpare(); err != nil {
		return nil, err
	}
	if err := s.introduce(); err != nil {
		return nil, err
	}
	var out []PlannedTask
	for _, t := range s.graph.Tasks {
		p := PlannedTask{Name: taskName(t), ID: t.ID(), Recipe: t.Recipe.File, Signature: t.Signature}
		for _, d := range t.DependsOn {
			p.DependsOn = append(p.DependsOn, taskName(d))
		}
		st, err := newStamp(t)
		if err != nil {
			return nil, err
		}
		p.Done = t.NoExec || s.spare[t] || !t.NoStamp && st.valid()
		out = append(out, p)
	}
	return out, nil
}

// Tools gives the layers of a tools tree with packages. With o.TopDir, caches and mirrors are those of that build folder,
// else the user's usual ones.
func Tools(ctx context.Context, o Options, env map[string]string, packages []string) ([]string, error) {
	if o.TopDir != "" {
		s, err := open(ctx, o)
		if err != nil {
			return nil, err
		}
		if err := s.wire(); err != nil {
			return nil, err
		}
		return s.provider.Layers(ctx, packages...)
	}
	p, err := usualTools(env, o.Now)
	if err != nil {
		return nil, err
	}
	return p.Layers(ctx, packages...)
}

// FindTools gives the folder of packages that [Tools] made in the user's usual caches, "" when it has not.
func FindTools(env map[string]string, packages []string) (string, error) {
	p, err := usualTools(env, nil)
	if err != nil {
		return "", err
	}
	return p.Find(packages...), nil
}

func usualTools(env map[string]string, now func() time.Time) (*tools.Provider, error) {
	dirs := defaultCaches(env)
	return OpenTools(ToolsOptions{DownloadDir: dirs[0], CacheDir: dirs[1], Proxies: proxies(env), Now: now})
}
