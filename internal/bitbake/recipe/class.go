package recipe

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/syntax"
	"n3x/internal/diag"
)

// inherit evaluates classes that have not been inherited yet. Classes named in BB_DEFER_BBCLASSES wait until the recipe is finalised.
func (e *evaluator) inherit(classes string, pos diag.Pos, deferred bool) error {
	text, err := e.d.Expand(classes)
	if err != nil {
		return placed(pos, err)
	}
	for _, name := range strings.FieldsFunc(text, isSpace) {
		later, err := e.d.Words("BB_DEFER_BBCLASSES")
		if err != nil {
			return err
		}
		if !deferred && !e.before.noDeferList && slices.Contains(later, name) {
			e.state.deferred = append(e.state.deferred, deferredInherit{name, pos})
			continue
		}
		path, err := e.findClass(name, pos)
		if err != nil {
			return err
		}
		if slices.Contains(e.state.inherited, path) {
			continue
		}
		if err := e.file(path); err != nil {
			return err
		}
	}
	return nil
}

// inheriting notes that a class is being read, by inherit or by require.
func (e *evaluator) inheriting(path string) error {
	if slices.Contains(e.state.inherited, path) {
		return nil
	}
	e.state.inherited = append(e.state.inherited, path)
	return e.d.SetObject("__inherit_cache", "", datastore.ListLiteral(e.state.inherited))
}

// findClass looks in classes-global or classes-recipe, whichever is due, then in classes, along BBPATH.
func (e *evaluator) findClass(name string, pos diag.Pos) (string, error) {
	bbpath, err := e.d.Value("BBPATH")
	if err != nil {
		return "", err
	}
	for _, dir := range []string{"classes-" + e.state.classType, "classes"} {
		path := name
		if !filepath.IsAbs(path) && !strings.HasSuffix(path, ".bbclass") {
			path = dir + "/" + name + ".bbclass"
		}
		if !filepath.IsAbs(path) {
			path = e.which(bbpath, path)
		}
		if path != "" && e.look().isFile(path) {
			return path, nil
		}
	}
	return "", e.noClass(name, bbpath, pos)
}

func (e *evaluator) noClass(name, bbpath string, pos diag.Pos) error {
	err := diag.Userf(pos, "could not inherit class %s", name)
	var known []string
	for root := range strings.SplitSeq(bbpath, ":") {
		for _, dir := range []string{"classes", "classes-global", "classes-recipe"} {
			for _, entry := range e.tree.readDir(joinPath(root, dir)) {
				class, ok := strings.CutSuffix(entry.Name(), ".bbclass")
				if !ok {
					continue
				}
				if class == name {
					return err.WithNote("%s/%s exists, but a class in %s cannot be inherited here", joinPath(root, dir), entry.Name(), dir).
						WithHint("classes-global is for INHERIT in configuration files, classes-recipe for recipes")
				}
				known = append(known, class)
			}
		}
	}
	if near := diag.Nearest(name, known); near != "" {
		return err.WithHint("did you mean %s?", near)
	}
	return err.WithHint("no layer in BBLAYERS has classes*/%s.bbclass; is a layer missing?", name)
}

// function defines a shell or python function, or remembers an anonymous one.
func (e *evaluator) function(pos diag.Pos, f *syntax.Function) error {
	if f.Name == "" {
		name, err := e.d.DefineAnonymous(pos, f)
		e.state.anonymous = append(e.state.anonymous, anonymous{name, f.Body, diag.Pos{File: pos.File, Line: f.FirstLine + 1}})
		return placed(pos, err)
	}
	return placed(pos, e.d.DefineFunction(pos, f))
}

// exportFunctions makes NAME call CLASS_NAME unless the recipe, or a class that did not export it, defines NAME itself.
func (e *evaluator) exportFunctions(pos diag.Pos, s *syntax.ExportFunctions) error {
	for _, name := range s.Names {
		err := e.d.ExportFunction(name, s.Class)
		if errors.Is(err, datastore.ErrDashedClass) {
			return diag.Userf(pos, "class %s exports the shell function %s by EXPORT_FUNCTIONS, but %s_%s cannot be a function's name in the shell", s.Class, name, s.Class, name).
				WithHint("rename the class so that it holds no dash, or do without EXPORT_FUNCTIONS")
		}
		if err != nil {
			return placed(pos, err)
		}
	}
	return nil
}
