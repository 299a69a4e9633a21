package recipe

import (
	"context"
	"path/filepath"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/diag"
)

// File evaluates one file by itself: no layers, no bitbake.conf, no environment. BBPATH is the build directory of opts. A .bb
// file is finalised and gives a recipe and its variants; of any other file's recipe only Data is filled in.
func File(ctx context.Context, opts Options, path string) ([]*Recipe, error) {
	opts.Cache = ""
	l, err := newLoader(opts)
	if err != nil {
		return nil, err
	}
	l.background = ctx
	l.alone = true
	if path, err = filepath.Abs(path); err != nil {
		return nil, diag.Userf(diag.Pos{File: path}, "find the file: %w", err)
	}
	e := &evaluator{shared: l.shared, ctx: ctx, d: datastore.New()}
	e.state = state{classType: "recipe", known: map[string]bool{}}
	e.d.SetEvaluator(e)
	e.d.SetOld(e.before.weakFlagsAssign)
	e.d.At(diag.Pos{}, "")
	for _, v := range [][2]string{{"__bbclasstype", "recipe"}, {"BBPATH", l.topDir}, {"TOPDIR", l.topDir}} {
		if err := e.d.SetVar(v[0], v[1]); err != nil {
			return nil, err
		}
	}
	if filepath.Ext(path) != ".bb" {
		err := e.file(path)
		e.finish()
		return []*Recipe{{File: path, Data: e.d}}, placed(diag.Pos{File: path}, err)
	}
	w := &World{loader: l, configs: map[string]*config{"": {base: e}}}
	recipes, _, err := w.evaluate(ctx, &job{file: path})
	return recipes, err
}
