package datastore

import (
	"errors"
	"io"
	"strings"

	"n3x/internal/bitbake/pyeval"
	"n3x/internal/diag"
)

// Emit writes all variables with their history, then shell functions, then Python functions, as `bitbake -e` prints them below
// the history of included files. It mirrors emit_env of bitbake's lib/bb/data.py and showEnvironment of lib/bb/cooker.py.
func (d *Data) Emit(w io.Writer) error {
	var variables, functions, python []string
	for _, name := range d.Keys() {
		isFunc := d.flagSet(name, "func")
		if isFunc && d.flagSet(name, "python") {
			python = append(python, name)
		}
		switch {
		case strings.HasPrefix(name, "__"):
		case isFunc:
			functions = append(functions, name)
		default:
			variables = append(variables, name)
		}
	}
	for _, names := range [][]string{variables, functions} {
		for _, name := range names {
			if err := d.emit(w, name, !d.flagSet(name, "func")); err != nil {
				return err
			}
		}
	}
	if _, err := io.WriteString(w, "\n"); err != nil {
		return err
	}
	for _, name := range python {
		if err := d.emitPython(w, name); err != nil {
			return err
		}
	}
	return nil
}

// EmitVar writes one variable with its history, as `bitbake-getvar` prints it.
func (d *Data) EmitVar(w io.Writer, name string) error {
	var b strings.Builder
	if _, err := d.emitVar(&b, name, true); err != nil {
		return err
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (d *Data) emit(w io.Writer, name string, all bool) error {
	var b strings.Builder
	function, err := d.emitVar(&b, name, all)
	if err != nil {
		return err
	}
	if function {
		b.WriteByte('\n')
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// emitPython writes what a shell cannot read.
func (d *Data) emitPython(w io.Writer, name string) error {
	s, ok, err := d.Var(name, false)
	if err != nil {
		return err
	}
	if !ok {
		s = "None"
	}
	_, err = io.WriteString(w, "\npython "+name+" () {\n"+s+"}\n\n")
	return err
}

// flagSet is the truth of a flag.
func (d *Data) flagSet(name, flag string) bool {
	t, err := d.readFlag(name, flag, mode{})
	return err == nil && t.orEmpty() != ""
}

// boolFlag is bb.utils.to_boolean of a flag.
func (d *Data) boolFlag(name, flag string) (bool, error) {
	t, err := d.readFlag(name, flag, mode{expand: true})
	switch {
	case err != nil || t.orEmpty() == "" && (t.object || !t.ok):
		return false, err
	case t.object:
		return true, nil
	}
	switch strings.ToLower(t.s) {
	case "y", "yes", "1", "true":
		return true, nil
	case "n", "no", "0", "false":
		return false, nil
	}
	return false, diag.Userf(d.LastSet(name), "%s[%s] is %q, which is neither true nor false", name, flag, t.s).WithHint("write 1 or 0")
}

// emitVar writes a variable, with its history and whatever it is if all, else only if the shell gets it; function says that a
// function was written.
func (d *Data) emitVar(b *strings.Builder, name string, all bool) (function bool, err error) {
	isFunc := d.flagSet(name, "func")
	if isFunc && d.flagSet(name, "python") {
		return false, nil
	}
	export, err := d.boolFlag(name, "export")
	if err != nil {
		return false, err
	}
	unexport, err := d.boolFlag(name, "unexport")
	if err != nil || !all && !export && !unexport && !isFunc {
		return false, err
	}
	raw, rawOK, err := d.Var(name, false)
	if err != nil {
		return false, writeFailure(b, name, err)
	}
	value, ok, err := d.Var(name, true)
	if err != nil {
		return false, writeFailure(b, name, err)
	}
	if all {
		if !rawOK {
			raw = "None"
		}
		if err := d.WriteHistory(b, name, raw); err != nil {
			return false, err
		}
	} else if strings.ContainsAny(name, "-.{}+") {
		return false, nil
	}
	expanded, err := d.Expand(name)
	if err != nil {
		return false, err
	}
	switch {
	case unexport:
		b.WriteString("unset " + expanded + "\n")
		return false, nil
	case !ok:
		return false, nil
	case strings.HasPrefix(expanded, "BASH_FUNC_"):
		expanded = cut(expanded, len("BASH_FUNC_"), 2)
		b.WriteString(expanded + "() " + cut(value, 3, 0) + "\nexport -f " + expanded + "\n")
		return true, nil
	case isFunc:
		d.emitFunction(b, name, expanded, value)
		return true, nil
	case export:
		b.WriteString("export ")
	}
	quoter := shellQuoter
	if d.old {
		quoter = oldQuoter
	}
	b.WriteString(expanded + `="` + quoter.Replace(value) + "\"\n")
	return false, nil
}

var (
	shellQuoter = strings.NewReplacer(`"`, `\"`, "`", "\\`", "\n", " \\\n", "$", `\$`)
	oldQuoter   = strings.NewReplacer(`"`, `\"`, "\n", " \\\n", "$", `\$`)
)

// cut takes bytes off both ends, as far as there are any.
func cut(s string, start, end int) string {
	s = s[min(start, len(s)):]
	return s[:max(0, len(s)-end)]
}

func (d *Data) emitFunction(b *strings.Builder, name, expanded, body string) {
	line, file := d.flagText(name, "lineno"), d.flagText(name, "filename")
	b.WriteString("# line: " + line + ", file: " + file + "\n")
	b.WriteString(expanded + "() {\n" + strings.TrimRight(body, "\n") + "\n}\n")
}

// flagText is str() of a flag's value.
func (d *Data) flagText(name, flag string) string {
	if t, err := d.readFlag(name, flag, mode{}); err == nil && t.ok {
		return t.s
	}
	return "None"
}

// writeFailure writes the comment for a value that cannot be expanded.
func writeFailure(b *strings.Builder, name string, err error) error {
	var cancelled *diag.Error
	if errors.As(err, &cancelled) && cancelled.Kind == diag.Broken {
		return err
	}
	var chain *Error
	var python *pyeval.Exception
	if !errors.As(err, &chain) && errors.As(err, &python) {
		b.WriteString("# expansion of " + name + " threw " + python.Type + ": " + python.Text + "\n")
		return nil
	}
	b.WriteString("# expansion of " + name + " threw ExpansionError: " + failure(err) + "\n")
	return nil
}

// failure is the text of BitBake's ExpansionError.
func failure(err error) string {
	var chain *Error
	if !errors.As(err, &chain) {
		return err.Error()
	}
	text := chain.Err.Error()
	kind := "Exception"
	var python *pyeval.Exception
	var user *diag.Error
	var cycle *endless
	switch {
	case errors.As(chain.Err, &cycle):
		kind, text = cycle.kind, cycle.text
	case errors.As(chain.Err, &python):
		kind, text = python.Type, python.Text
	case errors.As(chain.Err, &user):
		text = user.Text
	}
	what := "expression " + chain.Expression
	if chain.Name != "" {
		what = "variable " + chain.Name + ", expression was " + chain.Expression
	}
	return "Failure expanding " + what + " which triggered exception " + kind + ": " + text +
		"\nThe variable dependency chain for the failure is: " + strings.Join(chain.Chain, " -> ")
}
