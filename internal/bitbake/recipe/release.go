package recipe

import (
	"strconv"
	"strings"

	"n3x/internal/diag"
)

// release says what a BitBake release did otherwise than the newest one.
type release struct {
	weakFlagsAssign bool // ??= on a flag assigned at once (until 2.8)
	eagerVariants   bool // deferred classes, and those of BBCLASSEXTEND, were inherited before finalisation (until 2.8)
	namedDefault    bool // the default multiconfig was called "default" in BB_CURRENT_MC (until 2.8)
	plainDepends    bool // BB_RECIPE_VIRTUAL_PROVIDERS was unknown, and so DEPENDS kept as written (until 2.16)
}

// parseRelease reads a version such as "2.8.0".
func parseRelease(version string) (release, error) {
	if version == "" {
		return release{}, nil
	}
	parts := strings.SplitN(version, ".", 3)
	var n [2]int
	for i := range min(2, len(parts)) {
		var err error
		if n[i], err = strconv.Atoi(parts[i]); err != nil {
			return release{}, diag.Userf(diag.Pos{}, "BitBake version %q is not a version", version)
		}
	}
	before := func(major, minor int) bool { return n[0] < major || n[0] == major && n[1] < minor }
	return release{
		weakFlagsAssign: before(2, 9),
		eagerVariants:   before(2, 9),
		namedDefault:    before(2, 9),
		plainDepends:    before(2, 16),
	}, nil
}
