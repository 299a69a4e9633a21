package query

import (
	"fmt"
	"io"
	"strings"

	"n3x/internal/bitbake/recipe"
)

// WriteVersions prints the table of `bitbake -s`: for each recipe name the latest version, the preferred one where that is
// another, and the required one.
func WriteVersions(w io.Writer, world *recipe.World) error {
	choices, err := world.Choices("")
	if err != nil {
		return err
	}
	var b strings.Builder
	row := func(cells ...any) { fmt.Fprintf(&b, "%-35s %25s %25s %25s\n", cells...) }
	row("Recipe Name", "Latest Version", "Preferred Version", "Required Version")
	row("===========", "==============", "=================", "================")
	b.WriteString("\n")
	for _, c := range choices {
		preferred, required := "", ""
		if c.Required {
			required = c.Preferred.Version()
		} else if c.Preferred != c.Latest {
			preferred = c.Preferred.Version()
		}
		row(c.PN, c.Latest.Version(), preferred, required)
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// ParseSummary is the line with which bitbake ends reading recipes.
func ParseSummary(world *recipe.World) string {
	files, targets, skipped, masked := map[string]bool{}, 0, 0, 0
	for _, mc := range world.Multiconfigs() {
		masked += world.Masked(mc)
		for _, r := range world.Recipes(mc) {
			files[r.MC+":"+r.File] = true
			targets++
			if r.Skip != "" {
				skipped++
			}
		}
	}
	failed := len(world.Failures())
	_, parsed := world.Evaluated()
	all := len(files) + failed
	return fmt.Sprintf("Parsing of %d .bb files complete (%d cached, %d parsed). %d targets, %d skipped, %d masked, %d errors.",
		all, all-parsed, parsed, targets, skipped, masked, failed)
}
