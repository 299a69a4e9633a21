package datastore

import "n3x/internal/bitbake/pyeval"

// originVars is BB_ORIGENV as the Python of another store sees it, which is told of what is read.
type originVars struct {
	*Data
	reader *Data
}

func (o *originVars) saw(name string) {
	o.reader.Observe(pyeval.Observation{Kind: pyeval.LookedAtOriginal, Name: name})
}

// Var implements [pyeval.Vars].
func (o *originVars) Var(name string, expand bool) (value string, ok bool, err error) {
	o.saw(name)
	return o.Data.Var(name, expand)
}

// VarFlag implements [pyeval.Vars].
func (o *originVars) VarFlag(name, flag string, expand bool) (value string, ok bool, err error) {
	o.saw(name)
	return o.Data.VarFlag(name, flag, expand)
}

// Read implements [pyeval.Reader].
func (o *originVars) Read(name, flag string, how pyeval.ReadMode) (pyeval.Value, error) {
	o.saw(name)
	return o.Data.Read(name, flag, how)
}

// Keys implements [pyeval.Vars].
func (o *originVars) Keys() []string {
	o.saw("")
	return o.Data.Keys()
}

// Expand implements [pyeval.Vars].
func (o *originVars) Expand(s string) (string, error) {
	o.saw("")
	return o.Data.Expand(s)
}

// CreateCopy implements [pyeval.Copier].
func (o *originVars) CreateCopy() pyeval.Vars {
	o.saw("")
	return o.Data.Copy()
}
