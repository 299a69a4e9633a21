package isar

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"n3x/internal/diag"
)

var templateVariable = regexp.MustCompile(`\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))`)

// transformTemplate fills the variables of TEMPLATE_VARS into TEMPLATE_FILES, as envsubst(1) does.
func transformTemplate(_ context.Context, c *Call) error {
	files, err := c.Words("TEMPLATE_FILES")
	if err != nil {
		return err
	}
	vars, err := c.Words("TEMPLATE_VARS")
	if err != nil || len(files) == 0 || len(vars) == 0 {
		return err
	}
	work, err := c.Value("WORKDIR")
	if err != nil {
		return err
	}
	values := map[string]string{}
	for _, name := range vars {
		if values[name], err = c.Value(name); err != nil {
			return err
		}
	}
	root, err := os.OpenRoot(work)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, name := range files {
		if err := c.fillTemplate(root, work, name, values); err != nil {
			return err
		}
	}
	return nil
}

// fillTemplate makes NAME of NAME.tmpl, NAME.out of another NAME, with the template's mode. Neither may lie outside of
// WORKDIR, also not behind links that came with the sources.
func (c *Call) fillTemplate(root *os.Root, work, name string, values map[string]string) error {
	rel := name
	if filepath.IsAbs(name) {
		rel = strings.TrimPrefix(filepath.Clean(name), filepath.Clean(work)+"/")
	}
	rel = filepath.Clean(rel)
	if !filepath.IsLocal(rel) {
		return diag.Userf(c.Pos, "TEMPLATE_FILES names %s, which is not below WORKDIR", name).WithHint("name it relative to ${WORKDIR}")
	}
	in, err := root.Open(rel)
	if errors.Is(err, fs.ErrNotExist) {
		return diag.Userf(c.Pos, "TEMPLATE_FILES names %s, which is not in WORKDIR", name).WithHint("add file://%s to SRC_URI", rel)
	}
	if err != nil {
		return diag.Userf(c.Pos, "TEMPLATE_FILES names %s: %w", name, err)
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return diag.Userf(c.Pos, "TEMPLATE_FILES names %s, which is not a file", name)
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	out := templateVariable.ReplaceAllStringFunc(string(text), func(m string) string {
		if v, ok := values[strings.Trim(m, "${}")]; ok {
			return v
		}
		return m
	})
	target, cut := strings.CutSuffix(rel, ".tmpl")
	if !cut {
		target += ".out"
	}
	if err := remember(c, target); err != nil {
		return err
	}
	w, err := root.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, info.Mode().Perm())
	if err != nil {
		return diag.Userf(c.Pos, "TEMPLATE_FILES names %s: %w", name, err)
	}
	_, err = io.WriteString(w, out)
	return errors.Join(err, w.Chmod(info.Mode().Perm()), w.Close())
}
