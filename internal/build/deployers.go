package build

import (
	"path/filepath"

	"n3x/internal/diag"
	"n3x/internal/isar"
	"n3x/internal/taskgraph"
)

// deployers are the recipes of the graph that put packages into isar-apt, by the name of owners there.
func deployers(g *taskgraph.Graph) (map[string]isar.Deployer, error) {
	out := map[string]isar.Deployer{}
	for _, t := range g.Tasks {
		if t.Name != "do_deploy_deb" {
			continue
		}
		d := t.Recipe.Data.Copy()
		owner, err := isar.OwnerOf(d)
		if err != nil {
			return nil, err
		}
		base, err := d.Value("BPN")
		if err != nil {
			return nil, err
		}
		work, err := d.Value("WORKDIR")
		if err != nil {
			return nil, err
		}
		out[owner] = isar.Deployer{Recipe: t.Recipe.PN, Base: base, Work: work, Multiconfig: t.Recipe.MC, Pos: diag.Pos{File: filepath.Clean(t.Recipe.File)}}
	}
	return out, nil
}
