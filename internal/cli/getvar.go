package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"n3x/internal/build"
	"n3x/internal/diag"
	"n3x/internal/metadata"
	"n3x/internal/query"
)

// getvarFlags are those of bitbake-getvar.
type getvarFlags struct {
	recipe, flag                             string
	unexpand, expand, value, quiet, optional bool
}

// bitbakeGetvar prints a variable with its history, or its bare value.
func (a *app) bitbakeGetvar() *cobra.Command {
	var f getvarFlags
	c := &cobra.Command{
		Use:     "bitbake-getvar VARIABLE",
		Short:   "Print a variable of the configuration or of a recipe, and where it was set",
		Example: "  bitbake-getvar MACHINE\n  bitbake-getvar -r hello --value SRC_URI\n  bitbake-getvar -r hello --value -f dirs do_install",
		Args:    cobra.ExactArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return a.runGetvar(c, args[0], &f) },
	}
	s := c.Flags()
	s.StringVarP(&f.recipe, "recipe", "r", "", "of this recipe instead of the configuration")
	s.BoolVarP(&f.unexpand, "unexpand", "u", false, "leave ${} references as they are written (with --value)")
	s.BoolVar(&f.expand, "expand", false, "expand ${} references, as is the default")
	s.StringVarP(&f.flag, "flag", "f", "", "a flag of the variable (with --value)")
	s.BoolVar(&f.value, "value", false, "only the value, without name and history")
	s.BoolVarP(&f.quiet, "quiet", "q", false, "no warnings")
	s.BoolVar(&f.optional, "ignore-undefined", false, "print nothing, successfully, when the variable has no value")
	return c
}

func (f *getvarFlags) check() error {
	switch {
	case f.unexpand && f.expand:
		return diag.Userf(diag.Pos{}, "--unexpand contradicts --expand").WithHint("leave one of them out")
	case !f.value && f.unexpand:
		return diag.Userf(diag.Pos{}, "--unexpand only makes sense with --value").WithHint("add --value")
	case !f.value && f.flag != "":
		return diag.Userf(diag.Pos{}, "--flag only makes sense with --value").WithHint("add --value")
	}
	return nil
}

func (a *app) runGetvar(c *cobra.Command, name string, f *getvarFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	dir, err := a.buildFolder()
	if err != nil {
		return err
	}
	mo := a.metadataOptions(build.Options{TopDir: dir, Env: a.env})
	mo.ConfigOnly = f.recipe == ""
	opened, loadErr := metadata.Open(c.Context(), mo)
	if opened == nil {
		return loadErr
	}
	defer opened.Close()
	if !f.quiet && !f.value {
		a.tell(opened, 0)
	}
	d, err := query.Store(opened.World, f.recipe)
	if err != nil {
		return errors.Join(loadErr, err)
	}
	var value string
	var ok bool
	if f.flag != "" {
		value, ok, err = d.VarFlag(name, f.flag, !f.unexpand)
	} else {
		value, ok, err = d.Var(name, !f.unexpand)
	}
	switch {
	case err != nil:
		return err
	case !ok && !f.optional && f.flag != "":
		return diag.Userf(diag.Pos{}, "The flag '%s' is not defined for variable '%s'", f.flag, name).WithHint("--ignore-undefined prints nothing instead")
	case !ok && !f.optional:
		return query.Undefined(d, name)
	case f.value:
		_, err = fmt.Fprintln(a.stdout, value)
		return err
	}
	return d.EmitVar(a.stdout, name)
}
