package build

import (
	"context"
	"os"
	"regexp"

	"n3x/internal/kas"
	"n3x/internal/metadata"
)

var isarAddress = regexp.MustCompile(`(^|[/:])isar(\.git)?/?$`)

// Provides reports whether n3x brings everything that a repository's layers would give: ISAR's own core layer and, as long
// as none of its recipes is used, the layer with its machines. A checkout of the latter that is already there is used.
func Provides(r *kas.Repo) bool {
	if r.URL == "" || len(r.Layers) == 0 || !isISAR(r) {
		return false
	}
	for _, l := range r.Layers {
		if _, err := os.Stat(l.Path); l.Name != "meta" && (l.Name != metadata.StandInLayer || err == nil) {
			return false
		}
	}
	return true
}

// coreRecipe matches the names of recipes that only ISAR's own core layer has (meta/recipes-{bsp,initramfs,support}).
var coreRecipe = regexp.MustCompile(`(^|[\s"'])(enable-fsck|expand-on-first-boot|hostname-customization|initramfs-(fsck-ext4|tee-ftpm|tee-supplicant)-hook|` +
	`isar-ddi-definitions|isar-disable-apt-cache|isar-exclude-docs|libubootenv|python3-(beartype|cyclonedx-lib|debsbom|packageurl|py-serializable|spdx-tools)|` +
	`sshd-regen-keys|u-boot-script)($|[\s"',:;.])`)

// Helps reports whether ISAR's repository, which stands behind r, may have what could not be resolved without it.
func Helps(r *kas.Repo, reason error) bool {
	if !r.Provided || !isISAR(r) {
		return false
	}
	for _, l := range r.Layers {
		if l.Name == metadata.StandInLayer {
			return true
		}
	}
	return coreRecipe.MatchString(reason.Error())
}

// ProvidesNothing is [Provides] of an engine that leaves ISAR's recipes to ISAR's repository.
func ProvidesNothing(*kas.Repo) bool { return false }

// isISAR recognises ISAR's repository by the name that projects give it, or by its address.
func isISAR(r *kas.Repo) bool {
	return r.ID == "isar" || r.Name == "isar" || isarAddress.MatchString(r.URL)
}

// Resolve reads the metadata and finds everything that the targets lead to. It needs no namespaces and starts nothing.
func Resolve(ctx context.Context, o Options) error {
	opened, err := metadata.Open(ctx, metadata.Options{TopDir: o.TopDir, Env: o.Env, Run: true, Python: o.Python})
	if err != nil {
		return err
	}
	defer opened.Close()
	if err := checkConfiguration(opened.World); err != nil {
		return err
	}
	_, err = o.Graph(opened.World)
	return err
}

// Places reads the metadata and gives the targets with the values that are asked for. It builds nothing, and needs no namespaces.
func Places(ctx context.Context, o Options, values ...string) ([]Target, error) {
	opened, err := metadata.Open(ctx, metadata.Options{TopDir: o.TopDir, Env: o.Env, Run: true, Python: o.Python})
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	g, err := o.Graph(opened.World)
	if err != nil {
		return nil, err
	}
	o.Values = values
	s := &session{o: o, graph: g}
	return s.targets(false)
}
