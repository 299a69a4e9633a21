package build

import (
	"context"
	"strings"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/bitbake/recipe"
	"n3x/internal/isar"
)

// observeSources tells a recipe what its sources are today: the versions of Debian's source packages, and the commits of
// branches.
func (s *session) observeSources(ctx context.Context, r *recipe.Recipe) error {
	apt, err := s.aptSources(ctx, r.Data)
	if err != nil {
		return err
	}
	git, err := isar.FloatingRevisions(ctx, r.Data, r.Data.LastSet("SRC_URI"), isar.Outside{Archives: s.archives, Env: s.o.Env})
	if err != nil {
		return err
	}
	for name, value := range map[string]string{"N3X_APT_SOURCES": apt, "N3X_GIT_REVISIONS": git} {
		if value == "" {
			continue
		}
		if err := r.Data.SetVar(name, value); err != nil {
			return err
		}
	}
	return nil
}

// aptSources names the source packages that a recipe's apt:// entries mean today, so that a new version is fetched. One
// that is not found is the task's failure, not the plan's.
func (s *session) aptSources(ctx context.Context, d *datastore.Data) (string, error) {
	uri, err := d.Value("SRC_URI")
	if err != nil {
		return "", err
	}
	var all []string
	for _, request := range isar.AptRequests(uri) {
		_, p, err := s.archives.Source(ctx, d, request, nil)
		switch {
		case ctx.Err() != nil:
			return "", ctx.Err()
		case err != nil:
			all = append(all, request)
		default:
			all = append(all, p.ID()+" "+p.DSC().SHA256)
		}
	}
	return strings.Join(all, "\n"), nil
}
