package cli

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"n3x/internal/diag"
	"n3x/internal/kas"
	"n3x/internal/yaml"
)

// checkBuildFolder refuses a build folder that lists of paths cannot hold.
func checkBuildFolder(dir string) error {
	if !strings.ContainsAny(dir, " \t\n:") {
		return nil
	}
	return diag.Userf(diag.Pos{}, "the path of the build folder %q has a space or a colon in it, which separate paths in metadata", dir).
		WithHint("move the project, or make the build folder elsewhere (kas: KAS_BUILD_DIR)")
}

// checkLayers refuses a layer that is not there, at the place of the kas file that names it, and folders that BitBake's
// variables cannot hold: lists of paths are separated by spaces (BBLAYERS, BBFILES) and colons (BBPATH, FILESPATH).
func checkLayers(p *kas.Project) error {
	if err := checkBuildFolder(p.BuildDir); err != nil {
		return err
	}
	for _, r := range p.Repos {
		for _, l := range r.Layers {
			if r.Provided || l.Provided {
				continue
			}
			if strings.ContainsAny(l.Path, " \t\n:") {
				return diag.Userf(r.Pos, "the path of layer %q has a space or a colon in it, which separate paths in metadata", l.Path).
					WithHint("move or rename the folder")
			}
			if isDir(l.Path) {
				continue
			}
			pos := r.Pos
			for _, e := range p.Config.Lookup("repos").Lookup(r.ID).Lookup("layers").Map().Entries() {
				if e.Key == l.Name {
					pos = e.KeyPos
				}
			}
			if !isDir(r.Path) {
				return diag.Userf(r.Pos, "repository %q: folder %s does not exist", r.ID, r.Path).
					WithHint("correct path: (it starts at %s), or give the repository a url:", p.WorkDir)
			}
			return diag.Userf(pos, "repository %q has no layer %q", r.ID, l.Name).WithNote("%s does not exist", l.Path).
				WithHint("name a folder of the repository that holds conf/layer.conf")
		}
	}
	return nil
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// relocate replaces a place in a generated conf file by the one in the kas file that its text came from.
func relocate(p *kas.Project, err error) error {
	var e *diag.Error
	if p == nil || !errors.As(err, &e) {
		return err
	}
	if strings.HasPrefix(e.Text, "MACHINE is ") && p.Config.Lookup("machine") == nil {
		e.Notes = append(e.Notes, "no kas file names a machine, and this is kas's default")
	}
	for i, note := range e.Notes {
		e.Notes[i] = relocateText(p, note)
	}
	err = relocateFile(p, err, filepath.Join(p.BuildDir, "conf/local.conf"), p.LocalConf, "local_conf_header")
	return relocateFile(p, err, filepath.Join(p.BuildDir, "conf/bblayers.conf"), p.BBLayersConf, "bblayers_conf_header")
}

// relocateFile is relocate for one generated file, whose text comes from the entries of key.
func relocateFile(p *kas.Project, err error, file, text, key string) error {
	var e *diag.Error
	if errors.As(err, &e) && e.Pos.File == file {
		if pos := origin(p, text, key, e.Pos.Line); !pos.IsZero() {
			e.Pos = pos
		}
	}
	return err
}

// relocateText does the same within a text.
func relocateText(p *kas.Project, text string) string {
	conf := regexp.MustCompile(regexp.QuoteMeta(filepath.Join(p.BuildDir, "conf", "local.conf")) + `:(\d+)`)
	return conf.ReplaceAllStringFunc(text, func(place string) string {
		line, err := strconv.Atoi(place[strings.LastIndexByte(place, ':')+1:])
		if err != nil {
			return place
		}
		if pos := origin(p, p.LocalConf, "local_conf_header", line); !pos.IsZero() {
			return pos.String()
		}
		return place
	})
}

// origin is the place in the kas files of one line of a generated file, the zero Pos for what n3x writes itself. The
// entries of the header key come first, sorted by key, each below a comment that names it.
func origin(p *kas.Project, text, key string, line int) diag.Pos {
	lines := strings.Split(text, "\n")
	if line < 1 || line > len(lines) {
		return diag.Pos{}
	}
	for variable, k := range map[string]string{"MACHINE ": "machine", "DISTRO ": "distro", "BBMULTICONFIG ": "target"} {
		if n := p.Config.Lookup(k); n != nil && line > headerEnd(p, key) && strings.HasPrefix(lines[line-1], variable) {
			return n.Pos
		}
	}
	at := 0 // lines before the entry's text
	for _, e := range sortedEntries(p, key) {
		at++
		body, _ := e.Node.Text()
		n := strings.Count(body, "\n") + 1
		if line > at && line <= at+n {
			return lineOf(p, e.Node.Pos, line-at, lines[line-1])
		}
		at += n
	}
	return diag.Pos{}
}

// headerEnd counts the lines that the entries of a header key make.
func headerEnd(p *kas.Project, key string) int {
	n := 0
	for _, e := range sortedEntries(p, key) {
		body, _ := e.Node.Text()
		n += strings.Count(body, "\n") + 2
	}
	return n
}

func sortedEntries(p *kas.Project, key string) []yaml.Entry {
	entries := slices.Clone(p.Config.Lookup(key).Map().Entries())
	slices.SortFunc(entries, func(a, b yaml.Entry) int { return cmp.Compare(a.Key, b.Key) })
	return entries
}

// lineOf is the n-th line of a block scalar that begins at pos, when the file really has that text there, else pos.
func lineOf(p *kas.Project, pos diag.Pos, n int, text string) diag.Pos {
	name := pos.File
	for _, f := range p.Files {
		if f.Path == name || strings.HasSuffix(f.Path, "/"+name) {
			name = f.Path
		}
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return pos
	}
	lines := strings.Split(string(data), "\n")
	if at := pos.Line + n; at <= len(lines) && strings.TrimSpace(lines[at-1]) == strings.TrimSpace(text) {
		return diag.Pos{File: pos.File, Line: at}
	}
	return pos
}
