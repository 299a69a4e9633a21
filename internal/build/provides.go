package build

import (
	"regexp"

	"n3x/internal/kas"
)

var isarAddress = regexp.MustCompile(`(^|[/:])isar(\.git)?/?$`)

// Provides reports whether n3x brings everything that a repository's layers would give: ISAR's own core layer.
func Provides(r *kas.Repo) bool {
	if r.URL == "" || len(r.Layers) == 0 {
		return false
	}
	for _, l := range r.Layers {
		if l.Name != "meta" {
			return false
		}
	}
	return isISAR(r)
}

// isISAR recognises ISAR's repository by the name that projects give it, or by its address.
func isISAR(r *kas.Repo) bool {
	return r.ID == "isar" || r.Name == "isar" || isarAddress.MatchString(r.URL)
}
