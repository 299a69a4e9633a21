package recipe

import (
	"strconv"
	"strings"

	"n3x/internal/bitbake/syntax"
	"n3x/internal/diag"
)

// release says what a BitBake release did otherwise than the newest one.
type release struct {
	weakFlagsAssign bool // ??= on a flag assigned at once (until 2.8)
	eagerVariants   bool // deferred classes, and those of BBCLASSEXTEND, were inherited before finalisation (until 2.8)
	namedDefault    bool // the default multiconfig was called "default" in BB_CURRENT_MC (until 2.8)
	noDeferList     bool // BB_DEFER_BBCLASSES was unknown (until 2.8)
	tightAssigns    bool // A="b" gave no warning (until 2.12)
	plainDepends    bool // BB_RECIPE_VIRTUAL_PROVIDERS was unknown, and so DEPENDS kept as written (until 2.16)
}

// Before reports whether the release of BitBake that is followed is older than major.minor.
func (w *World) Before(major, minor int) bool {
	n, err := parseVersion(w.loader.opts.BitBake)
	return err == nil && w.loader.opts.BitBake != "" && older(n, major, minor)
}

func older(n [2]int, major, minor int) bool { return n[0] < major || n[0] == major && n[1] < minor }

// parseVersion reads the first two numbers of a version such as "2.8.0".
func parseVersion(version string) (n [2]int, err error) {
	parts := strings.SplitN(version, ".", 3)
	for i := range min(2, len(parts)) {
		if n[i], err = strconv.Atoi(parts[i]); err != nil {
			return n, diag.Userf(diag.Pos{}, "BitBake version %q is not a version", version)
		}
	}
	return n, nil
}

// dialect is what the files are read by.
func (r release) dialect() syntax.Dialect {
	if r.weakFlagsAssign {
		return syntax.Until28
	}
	return syntax.Newest
}

// parseRelease reads a version such as "2.8.0".
func parseRelease(version string) (release, error) {
	if version == "" {
		return release{}, nil
	}
	n, err := parseVersion(version)
	if err != nil {
		return release{}, err
	}
	before := func(major, minor int) bool { return older(n, major, minor) }
	return release{
		weakFlagsAssign: before(2, 9),
		eagerVariants:   before(2, 9),
		namedDefault:    before(2, 9),
		noDeferList:     before(2, 9),
		tightAssigns:    before(2, 13),
		plainDepends:    before(2, 16),
	}, nil
}
