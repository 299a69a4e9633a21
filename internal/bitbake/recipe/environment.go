package recipe

import (
	"maps"
	"slices"
	"strings"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/pyeval"
	"n3x/internal/diag"
)

// exportedEnvironment are the variables that BitBake takes from the environment and exports to tasks.
var exportedEnvironment = []string{"BB_TASKHASH", "HOME", "LOGNAME", "PATH", "PWD", "SHELL", "USER", "LC_ALL", "BBSERVER"}

// approved are the names of the environment variables that metadata may see.
func approved(environ map[string]string) []string {
	if _, ok := environ["BB_PRESERVE_ENV"]; ok {
		return slices.Sorted(maps.Keys(environ))
	}
	var names []string
	if list, ok := environ["BB_ENV_PASSTHROUGH"]; ok {
		names = append(strings.Fields(list), "BB_ENV_PASSTHROUGH")
	} else {
		names = append([]string{"BBPATH", "BB_PRESERVE_ENV", "BB_ENV_PASSTHROUGH_ADDITIONS"}, exportedEnvironment...)
	}
	if list, ok := environ["BB_ENV_PASSTHROUGH_ADDITIONS"]; ok {
		names = append(append(names, strings.Fields(list)...), "BB_ENV_PASSTHROUGH_ADDITIONS")
	}
	return names
}

// inherited are the names of the variables that metadata sees, sorted.
func inherited(environ map[string]string) []string {
	allowed := approved(environ)
	var names []string
	for _, name := range slices.Sorted(maps.Keys(environ)) {
		if slices.Contains(allowed, name) && validEnvironmentName(name) {
			names = append(names, name)
		}
	}
	return names
}

// inheritEnvironment puts the approved variables into d, and the whole environment into BB_ORIGENV.
func inheritEnvironment(d *datastore.Data, environ map[string]string) error {
	origin, err := originalEnvironment(environ)
	if err != nil {
		return err
	}
	d.Environment = origin
	for _, name := range inherited(environ) {
		if err := d.InheritVar(name, environ[name], slices.Contains(exportedEnvironment, name)); err != nil {
			return err
		}
	}
	return nil
}

// originalEnvironment is BB_ORIGENV.
func originalEnvironment(environ map[string]string) (*datastore.Data, error) {
	origin := datastore.New()
	for _, name := range slices.Sorted(maps.Keys(environ)) {
		if !validEnvironmentName(name) {
			continue
		}
		if err := origin.SetVar(name, environ[name]); err != nil {
			return nil, diag.Userf(diag.Pos{}, "environment: %w", err)
		}
	}
	origin.Freeze()
	return origin, nil
}

// validEnvironmentName leaves out names that would be read as operations on variables.
func validEnvironmentName(name string) bool {
	for _, op := range []string{"_append", "_prepend", "_remove"} {
		if strings.Contains(name, op) {
			return false
		}
	}
	return name != "" && !strings.Contains(name, ":")
}

// Environment is a multiconfig's configuration as `bitbake -e` shows it: with ${} in variable names expanded, and after the
// anonymous functions of the classes that INHERIT names.
func (w *World) Environment(mc string) (*datastore.Data, error) {
	c, err := w.config(mc)
	if err != nil {
		return nil, err
	}
	e := c.base.fork(c.base.ctx)
	e.d.By(datastore.SiteExpandKeys)
	if _, err := e.d.ExpandKeys(); err != nil {
		return nil, err
	}
	for _, a := range e.state.anonymous {
		if err := e.exec(a.body, pyeval.Site{Pos: a.pos, Name: a.name}); err != nil {
			return nil, placed(a.pos, err)
		}
	}
	return e.d, nil
}
