package recipe

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"n3x/internal/diag"
)

// versionedName is `name (op version) ...`.
type versionedName struct {
	name        string
	constraints []constraint
}

// constraint is what a version must be.
type constraint struct{ op, version string }

// metBy says whether a version fits.
func (c constraint) metBy(have string) (bool, error) {
	if !slices.Contains([]string{"=", "==", "<", "<=", ">", ">=", "<<", ">>", "!="}, c.op) {
		return false, errors.New("unsupported comparison operator " + strconv.Quote(c.op))
	}
	if c.version == "" || strings.ContainsFunc(c.version, isSpace) {
		return false, errors.New(strconv.Quote(c.op+" "+c.version) + " is not an operator and a version")
	}
	return compareOp(have, c.version, c.op), nil
}

func (v versionedName) check(pos diag.Pos, c, have string) error {
	for _, con := range v.constraints {
		met, err := con.metBy(have)
		switch {
		case have == "":
			return diag.Userf(pos, "layer %s depends on version %s %s of layer %s, which specifies no version", c, con.op, con.version, v.name).
				WithHint("the other layer's layer.conf has to set LAYERVERSION_%s", v.name)
		case err != nil:
			return diag.Userf(pos, "LAYERDEPENDS_%s: %w", c, err).WithHint("write e.g. %s (>= 2)", v.name)
		case !met:
			return diag.Userf(pos, "layer %s depends on version %s %s of layer %s, but version %s is enabled", c, con.op, con.version, v.name, have).
				WithHint("use matching versions of the two layers")
		}
	}
	return nil
}

// explodeVersions reads `a b (>= 2) c`, with BitBake's tolerance: commas do not count, and a parenthesis that is left open
// ends with the text. The names come sorted.
func explodeVersions(s string) ([]versionedName, error) {
	names := map[string][]constraint{}
	var order []string
	var name string
	var con constraint
	opening, inside := false, false
	for _, w := range strings.FieldsFunc(strings.ReplaceAll(s, ",", ""), isSpace) {
		if w[0] == '(' {
			opening = true
			if w = w[1:]; w == "" {
				continue
			}
		}
		if opening {
			opening, inside = false, true
			con.op = operatorOf(w)
			if con.op == "" {
				return nil, errors.New("invalid version specification (" + w + ": invalid or missing operator")
			}
			if w = w[len(con.op):]; w == "" {
				continue
			}
		}
		if !inside {
			name, con = w, constraint{}
			if _, ok := names[name]; !ok {
				names[name] = nil
				order = append(order, name)
			}
			continue
		}
		if text, ok := strings.CutSuffix(w, ")"); ok {
			w, inside = text, false
			if con.version != "" && w != "" {
				con.version += " "
			}
		}
		if w == "" {
			continue
		}
		if name == "" {
			return nil, errors.New("a version without a name in " + strconv.Quote(s))
		}
		con.version += w
		names[name] = append(names[name], con)
	}
	slices.Sort(order)
	var list []versionedName
	for _, n := range order {
		list = append(list, versionedName{n, names[n]})
	}
	return list, nil
}

// operatorOf is the comparison operator that a word begins with, or "".
func operatorOf(w string) string {
	for _, op := range []string{"<=", "=<", "<<", "==", "!=", ">=", "=>", ">>", "<", ">", "="} {
		if strings.HasPrefix(w, op) {
			return op
		}
	}
	return ""
}
