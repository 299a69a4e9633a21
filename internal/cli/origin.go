package cli

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"n3x/internal/diag"
	"n3x/internal/kas"
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
	err = p.Relocate(err, filepath.Join(p.BuildDir, "conf/local.conf"), p.LocalConf, "local_conf_header")
	return p.Relocate(err, filepath.Join(p.BuildDir, "conf/bblayers.conf"), p.BBLayersConf, "bblayers_conf_header")
}

// relocateText does the same within a text.
func relocateText(p *kas.Project, text string) string {
	conf := regexp.MustCompile(regexp.QuoteMeta(filepath.Join(p.BuildDir, "conf", "local.conf")) + `:(\d+)`)
	return conf.ReplaceAllStringFunc(text, func(place string) string {
		line, err := strconv.Atoi(place[strings.LastIndexByte(place, ':')+1:])
		if err != nil {
			return place
		}
		if pos := p.Origin(p.LocalConf, "local_conf_header", line); !pos.IsZero() {
			return pos.String()
		}
		return place
	})
}
