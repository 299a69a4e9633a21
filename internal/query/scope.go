package query

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/recipe"
	"n3x/internal/diag"
	"n3x/internal/metadata"
)

// folder is a build folder that was opened, and what was found wrong with it.
type folder struct {
	*metadata.Opened
	err error // of some recipes, or, without Opened, of the configuration
}

func (f *folder) close() {
	if f.Opened != nil {
		f.Close()
	}
}

// scope names the datastore that a question is about. Exactly one of File, Config and Recipe is set.
type scope struct {
	File   string `json:"file"`   // a file by itself, in an empty datastore
	Config bool   `json:"config"` // the base configuration
	Recipe string `json:"recipe"` // a recipe, or what one provides; "mc:NAME:" in front chooses a multiconfig

	MC      string `json:"mc"`      // multiconfig of Config and Recipe
	Variant string `json:"variant"` // of BBCLASSEXTEND, e.g. "native"; also of File
	Path    string `json:"path"`    // the recipe's file, where several recipes have the name
}

func (r *request) metadata(o Options) metadata.Options {
	env := maps.Clone(o.Env)
	if env == nil {
		env = map[string]string{}
	}
	maps.Copy(env, r.Env)
	if r.Classes != "" {
		env[metadata.SourceVariable] = string(r.Classes)
	}
	top := r.TopDir
	if top == "" {
		top = o.TopDir
	}
	return metadata.Options{TopDir: top, Env: env, Python: o.Python, Log: o.Log, Buffers: buffers(r.Buffers)}
}

// buffers are overlays that each show one text in place of a file.
func buffers(texts map[string]string) []recipe.Overlay {
	var out []recipe.Overlay
	for _, path := range slices.Sorted(maps.Keys(texts)) {
		out = append(out, recipe.Text(path, texts[path]))
	}
	return out
}

// folder opens the request's build folder once.
func (s *server) folder(ctx context.Context, r *request) (*folder, error) {
	o := r.metadata(s.o)
	if o.TopDir == "" {
		return nil, diag.Userf(diag.Pos{}, "the request names no build folder, and this is none").WithHint(`add "topdir": "/path/of/build"`)
	}
	key := fmt.Sprint(o.TopDir, r.Env, r.Classes, r.Buffers)
	f := s.opened[key]
	if f == nil || r.Fresh {
		if f != nil {
			f.close()
		}
		opened, err := metadata.Open(ctx, o)
		f = &folder{opened, err}
		s.opened[key] = f
	}
	if f.Opened == nil {
		return nil, f.err
	}
	return f, nil
}

// subject is the datastore that a request is about, and the recipe that it belongs to, if any.
type subject struct {
	d    *datastore.Data
	r    *recipe.Recipe
	done func() // nil, or to be called when nothing more is read
}

func (s *subject) close() {
	if s.done != nil {
		s.done()
	}
}

func (s *server) subject(ctx context.Context, r *request) (*subject, error) {
	of := r.Of
	switch {
	case of == nil:
		return nil, diag.Userf(diag.Pos{}, "the request does not say what it is about").
			WithHint(`add "of": {"recipe": NAME}, {"config": true} or {"file": PATH}`)
	case of.File != "" && !of.Config && of.Recipe == "":
		return s.standalone(ctx, r)
	case of.Config && of.File == "" && of.Recipe == "":
		f, err := s.folder(ctx, r)
		if err != nil {
			return nil, err
		}
		if f.Base(of.MC) == nil {
			return nil, noMulticonfig(of.MC, f.Multiconfigs())
		}
		return &subject{d: f.Base(of.MC).Copy()}, nil
	case of.Recipe != "" && !of.Config && of.File == "":
		f, err := s.folder(ctx, r)
		if err != nil {
			return nil, err
		}
		found, err := f.find(of)
		if err != nil {
			return nil, err
		}
		return &subject{d: found.Data.Copy(), r: found}, nil
	}
	return nil, diag.Userf(diag.Pos{}, `"of" names more than one thing`).WithHint(`give one of "recipe", "config" and "file"`)
}

func noMulticonfig(mc string, known []string) error {
	err := diag.Userf(diag.Pos{}, "there is no multiconfig %q", mc)
	if near := diag.Nearest(mc, known); near != "" {
		return err.WithHint("did you mean %s?", near)
	}
	return err.WithHint("BBMULTICONFIG has: %s", strings.TrimSpace(strings.Join(known, " ")))
}

// standalone evaluates one file in an empty datastore.
func (s *server) standalone(ctx context.Context, r *request) (*subject, error) {
	found, done, err := metadata.File(ctx, r.metadata(s.o), r.Of.File)
	if err != nil {
		done()
		return nil, err
	}
	i := slices.IndexFunc(found, func(one *recipe.Recipe) bool { return one.Variant == r.Of.Variant })
	if i < 0 {
		done()
		return nil, diag.Userf(diag.Pos{File: r.Of.File}, "the file has no variant %q", r.Of.Variant).WithHint("BBCLASSEXTEND names them")
	}
	return &subject{d: found[i].Data, r: found[i], done: done}, nil
}

// find is the recipe that a scope names, also a skipped one.
func (f *folder) find(of *scope) (*recipe.Recipe, error) {
	mc, name := of.MC, of.Recipe
	if rest, ok := strings.CutPrefix(name, "mc:"); ok {
		mc, name, _ = strings.Cut(rest, ":")
	}
	if f.Base(mc) == nil {
		return nil, noMulticonfig(mc, f.Multiconfigs())
	}
	var named []*recipe.Recipe
	for _, r := range f.Recipes(mc) {
		if r.PN == name && (of.Path == "" || r.File == of.Path) && (of.Variant == "" || r.Variant == of.Variant) {
			named = append(named, r)
		}
	}
	if len(named) == 1 || of.Path != "" && len(named) > 0 {
		return named[0], nil
	}
	chosen, err := f.Provider(mc, name)
	if err == nil {
		return chosen, nil
	}
	if len(named) > 0 {
		return named[0], nil // all of them were skipped
	}
	for _, bad := range f.Failures() {
		base, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(bad.File), ".bb"), "_")
		if bad.MC == mc && base == name {
			return nil, bad.Err
		}
	}
	return nil, err
}
