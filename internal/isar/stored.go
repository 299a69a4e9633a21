package isar

import (
	"context"

	"n3x/internal/bitbake/datastore"
	"n3x/internal/debian/apt"
	"n3x/internal/progress"
)

// Stored is [Archives.Open] for those who can do with what is known: an archive that this run has not refreshed is read
// from the indices that an earlier one has left in DL_DIR, without asking the network. Only where there are none it is opened.
func (a *Archives) Stored(ctx context.Context, d *datastore.Data, p *progress.Task) (*Archive, error) {
	cached, err := d.Value("ISAR_USE_CACHED_BASE_REPO")
	if err != nil {
		return nil, err
	}
	if a.Locked != nil || truth(cached) {
		return a.Open(ctx, d, p)
	}
	o, texts, err := a.options(d)
	if err != nil {
		return nil, err
	}
	root, err := rootOf(d)
	if err != nil {
		return nil, err
	}
	key := root.key()
	a.mu.Lock()
	opened := a.opened[key] != nil
	a.mu.Unlock()
	if opened {
		return a.Open(ctx, d, p)
	}
	ar := &Archive{Key: key, Arches: o.Arches, Texts: texts}
	if ar.Client, err = apt.Open(o); err != nil {
		return nil, err
	}
	if ar.Digest, err = ar.Client.StoredDigest(ctx); err != nil {
		return a.Open(ctx, d, p) // there are none, or they are damaged
	}
	return ar, nil
}
