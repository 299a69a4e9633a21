package fetch

import (
	"archive/zip"
	"context"
	"io"
	"path"
	"strings"

	"n3x/internal/atomicfile"
)

// moduleTree lists the files of a module in a repository, as paths in the repository, and gives its go.mod.
func (f *Fetcher) moduleTree(ctx context.Context, s *Source, repo string) (files []string, mod string, err error) {
	rev, sub := s.repository.Revision, strings.Trim(s.repository.Params["subpath"], "/")
	args := []string{"ls-tree", "-r", "-z", rev}
	if sub != "" {
		args = append(args, "--", sub+"/")
	}
	out, err := f.git(ctx, repo, args...)
	if err != nil {
		return nil, "", err
	}
	mod = "module " + s.module() + "\n"
	for entry := range strings.SplitSeq(out, "\x00") {
		kind, name, ok := strings.Cut(entry, "\t")
		if !ok || !strings.Contains(kind, " blob ") {
			continue // a submodule's commit
		}
		files = append(files, name)
		if name == path.Join(sub, "go.mod") {
			if mod, err = f.git(ctx, repo, "cat-file", "blob", rev+":"+name); err != nil {
				return nil, "", err
			}
		}
	}
	return files, mod, nil
}

// writeModuleZip makes the module's zip file, as a module proxy would give it.
func (f *Fetcher) writeModuleZip(ctx context.Context, s *Source, repo string, files []string, to string) error {
	rev, sub := s.repository.Revision, strings.Trim(s.repository.Params["subpath"], "/")
	prefix := s.module() + "@" + s.Params["version"] + "/"
	return atomicfile.WriteFrom(to, 0o644, func(w io.Writer) error {
		z := zip.NewWriter(w)
		for _, name := range files {
			data, err := f.git(ctx, repo, "cat-file", "blob", rev+":"+name)
			if err != nil {
				return err
			}
			out, err := z.CreateHeader(&zip.FileHeader{Name: prefix + strings.TrimPrefix(strings.TrimPrefix(name, sub), "/"), Method: zip.Store})
			if err != nil {
				return err
			}
			if _, err := io.WriteString(out, data); err != nil {
				return err
			}
		}
		return z.Close()
	})
}
