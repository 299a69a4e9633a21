package isar

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/diag"
	"n3x/internal/sandbox"
)

// BaseNatives are the functions of class base and those that it inherits.
func BaseNatives(o Outside) map[string]Native {
	return map[string]Native{
		"base.fetch":              func(ctx context.Context, c *Call) error { return doFetch(ctx, c, o) },
		"base.unpack":             func(ctx context.Context, c *Call) error { return doUnpack(ctx, c, o) },
		"base-apt.cache":          func(ctx context.Context, c *Call) error { return o.Archives.cacheBaseApt(ctx, c) },
		"deb-dl-dir.sources":      func(ctx context.Context, c *Call) error { return o.Archives.cacheSources(ctx, c) },
		"deb-dl-dir.debug":        func(ctx context.Context, c *Call) error { return o.Archives.cacheDebug(ctx, c) },
		"base.clean":              doClean,
		"base.cleansstate":        doClean,
		"base.cleanall":           doCleanAll,
		"base.listtasks":          listTasks,
		"base.showdata":           showData,
		"base.transform_template": transformTemplate,
		"base.patch":              applyPatches,
		"base.adjust_git":         adjustGit,
	}
}

func doFetch(ctx context.Context, c *Call, o Outside) error {
	f, sources, err := fetcher(c, o)
	if err != nil {
		return err
	}
	return f.Fetch(ctx, sources)
}

// doClean removes the recipe's work folder and stamps, after the functions of CLEANFUNCS.
func doClean(ctx context.Context, c *Call) error {
	funcs, err := c.Words("CLEANFUNCS")
	if err != nil {
		return err
	}
	for _, f := range funcs {
		if err := c.Exec(ctx, f); err != nil {
			return err
		}
	}
	v, err := c.Values("WORKDIR", "STAMPCLEAN", "TMPDIR", "STAMP")
	if err != nil {
		return err
	}
	work, tmp := v[0], v[2]
	if rel, err := filepath.Rel(tmp, work); err != nil || rel == "." || strings.HasPrefix(rel, "..") {
		return diag.Userf(c.Pos, "WORKDIR of %s is %s, which is not below TMPDIR (%s); it is not removed", c.Recipe, work, tmp)
	}
	// The log of this very task lies in the work folder: keep that folder's temp until the next run.
	entries, err := os.ReadDir(work)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if e.Name() == "temp" {
			continue
		}
		if err := sandbox.Remove(filepath.Join(work, e.Name())); err != nil {
			return err
		}
	}
	stamps, err := filepath.Glob(v[1])
	if err != nil {
		return err
	}
	own, err := filepath.Glob(v[3] + ".*")
	if err != nil {
		return err
	}
	for _, s := range append(stamps, own...) {
		if err := os.RemoveAll(s); err != nil {
			return err
		}
	}
	return nil
}

// doCleanAll also forgets the recipe's downloads.
func doCleanAll(ctx context.Context, c *Call) error {
	f, sources, err := fetcher(c, Outside{})
	if err != nil {
		return err
	}
	for _, s := range sources {
		if err := f.Clean(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func listTasks(_ context.Context, c *Call) error {
	keys := c.Data.Keys()
	slices.Sort(keys)
	for _, k := range keys {
		flags, err := c.Data.VarFlags(k)
		if err != nil {
			return err
		}
		if _, ok := flags["task"]; ok {
			fmt.Fprintf(c.Log, "%s%-28s %s\n", plainMark, k, flags["doc"])
		}
	}
	return nil
}

func showData(_ context.Context, c *Call) error {
	keys := c.Data.Keys()
	slices.Sort(keys)
	for _, k := range keys {
		v, ok, err := c.Data.Var(k, true)
		if err != nil {
			return err
		}
		if ok {
			for line := range strings.SplitSeq(k+"="+v, "\n") {
				fmt.Fprintf(c.Log, "%s%s\n", plainMark, line)
			}
		}
	}
	return nil
}
