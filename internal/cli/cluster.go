package cli

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"n3x/internal/cluster"
	"n3x/internal/diag"
	"n3x/internal/secret"
)

func (a *app) cluster() *cobra.Command {
	c := &cobra.Command{
		Use:   "cluster",
		Short: "Network profiles and nodes: what images, NixOS and DHCP servers are told",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.clusterRender(), a.clusterToken(), a.clusterVerify())
	return c
}

// renderFlags are the flags of `n3x cluster render`.
type renderFlags struct {
	profile, node, output string
	check                 bool
}

func (a *app) clusterRender() *cobra.Command {
	var f renderFlags
	c := &cobra.Command{
		Use:   "render",
		Short: "Write what follows from profiles/: networkd units, K3s configurations, kas overlays, a NixOS module, dnsmasq reservations",
		Long: `Write what follows from the profiles in profiles/, and remove what does not any more: for each node systemd-networkd's units and
K3s' configuration in the layer, for each profile a kas overlay, a NixOS module's data, /etc/hosts and dnsmasq's reservations.

The files are made to be committed, because other tools than n3x read them, too.`,
		Example: "  n3x cluster render\n  n3x cluster render --check\n  n3x cluster render --profile vlans --node server-1 --output /tmp/look",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return a.runRender(&f) },
	}
	c.Flags().StringVar(&f.profile, "profile", "", "one profile only; other profiles' files are left alone")
	c.Flags().StringVar(&f.node, "node", "", "one node only")
	c.Flags().StringVar(&f.output, "output", "", "a folder to write to instead of the project's")
	c.Flags().BoolVar(&f.check, "check", false, "write nothing; show what would change as a patch, and fail if something would")
	return c
}

func (a *app) runRender(f *renderFlags) error {
	root, err := a.projectRoot()
	if err != nil {
		return err
	}
	l := cluster.DefaultLayout
	profiles, err := cluster.ReadDir(filepath.Join(root, l.Profiles), a.relative)
	if err != nil {
		return err
	}
	tree, err := choose(l, profiles, f)
	if err != nil {
		return err
	}
	to := root
	if f.output != "" {
		to = a.absolute(f.output)
	}
	if f.check {
		difference, err := tree.Difference(to)
		if err != nil || difference == "" {
			return err
		}
		fmt.Fprint(a.stdout, difference)
		return diag.Failedf(diag.Pos{}, "the rendered files do not say what the profiles say").WithHint("n3x cluster render")
	}
	change, err := tree.Write(to)
	if err != nil {
		return err
	}
	for _, name := range change.Written {
		fmt.Fprintf(a.stdout, "wrote %s\n", a.relative(filepath.Join(to, name)))
	}
	for _, name := range change.Removed {
		fmt.Fprintf(a.stdout, "removed %s\n", a.relative(filepath.Join(to, name)))
	}
	if change.Written == nil && change.Removed == nil {
		fmt.Fprintf(a.stdout, "%d files are up to date\n", len(tree.Files))
	}
	return nil
}

// choose renders what the flags ask for.
func choose(l cluster.Layout, profiles []*cluster.Profile, f *renderFlags) (cluster.Tree, error) {
	chosen := profiles
	if f.profile != "" {
		p, err := cluster.Find(l.Profiles, profiles, f.profile)
		if err != nil {
			return cluster.Tree{}, err
		}
		chosen = []*cluster.Profile{p}
		if p.Negative && f.output == "" {
			return cluster.Tree{}, diag.Userf(diag.Pos{File: p.File}, "profile %s is made to fail, so it is not rendered into the layer", f.profile).WithHint("add --output FOLDER")
		}
	}
	if f.profile == "" && f.node == "" {
		return cluster.Render(l, profiles), nil
	}
	tree := cluster.Tree{Files: map[string]string{}}
	add := func(parts ...cluster.Tree) {
		for _, part := range parts {
			maps.Copy(tree.Files, part.Files)
			tree.Roots, tree.Keep = append(tree.Roots, part.Roots...), part.Keep
		}
	}
	for _, p := range chosen {
		if p.Negative && f.profile == "" {
			continue
		}
		if f.node == "" {
			add(cluster.RenderProfile(l, p), cluster.Tree{Files: cluster.NodeOverlays(l, profiles, p), Keep: tree.Keep})
		} else if n, err := p.Node(f.node); err == nil {
			add(cluster.RenderNode(l, p, n))
		} else if f.profile != "" {
			return cluster.Tree{}, err
		}
	}
	if len(tree.Files) == 0 {
		var names []string
		for _, p := range chosen {
			for _, n := range p.Nodes {
				names = append(names, n.Name)
			}
		}
		slices.Sort(names)
		return cluster.Tree{}, diag.Userf(diag.Pos{}, "no profile in %s has a node %q", l.Profiles, f.node).WithHint("they have: %s", strings.Join(slices.Compact(names), ", "))
	}
	return tree, nil
}

// projectRoot is the nearest folder above whose folder profiles/ holds profiles: backends have a folder of that name, too.
func (a *app) projectRoot() (string, error) {
	without := ""
	for dir := a.dir; ; dir = filepath.Dir(dir) {
		profiles := filepath.Join(dir, cluster.DefaultLayout.Profiles)
		if files, _ := filepath.Glob(filepath.Join(quoteGlob(profiles), "*.y*ml")); len(files) > 0 {
			return dir, nil
		}
		if st, err := os.Stat(profiles); err == nil && st.IsDir() {
			without = dir
		}
		if dir != filepath.Dir(dir) {
			continue
		}
		if without != "" {
			return without, nil // the folder is empty, which reading it tells
		}
		return "", diag.Userf(diag.Pos{}, "neither %s nor a folder above it has %s/", a.dir, cluster.DefaultLayout.Profiles).WithHint("run this in a checkout of the project")
	}
}

// quoteGlob makes a path mean itself in a pattern.
func quoteGlob(path string) string {
	return regexp.MustCompile(`[\\*?\[]`).ReplaceAllString(path, `\$0`)
}

func (a *app) absolute(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(a.dir, path)
}

// relative shortens a path for messages.
func (a *app) relative(path string) string {
	if rel, err := filepath.Rel(a.dir, path); err == nil && len(rel) < len(path) {
		return rel
	}
	return path
}

// secrets are the user's own, and the keys that decrypt others: age's and sops' usual places, and SSH's.
func (a *app) secrets() *secret.Store {
	home := a.env["HOME"]
	data := a.env["XDG_DATA_HOME"]
	if !filepath.IsAbs(data) {
		data = filepath.Join(home, ".local/share")
	}
	config := a.env["XDG_CONFIG_HOME"]
	if !filepath.IsAbs(config) {
		config = filepath.Join(home, ".config")
	}
	s := &secret.Store{Dir: filepath.Join(data, "n3x")}
	for _, name := range []string{"N3X_AGE_IDENTITY", "SOPS_AGE_KEY_FILE"} {
		if file := a.env[name]; file != "" {
			s.Identities = append(s.Identities, secret.Identity{File: a.absolute(file), From: name})
		}
	}
	if keys := a.env["SOPS_AGE_KEY"]; keys != "" {
		s.Identities = append(s.Identities, secret.Identity{Text: keys, From: "SOPS_AGE_KEY"})
	}
	for _, file := range []string{filepath.Join(config, "sops/age/keys.txt"), filepath.Join(home, ".ssh/id_ed25519"), filepath.Join(home, ".ssh/id_rsa")} {
		s.Identities = append(s.Identities, secret.Identity{File: file})
	}
	return s
}

func (a *app) clusterToken() *cobra.Command {
	var output, name string
	c := &cobra.Command{
		Use:   "token",
		Short: "Make the token by which a cluster's machines know each other",
		Long: `Make a random token of 256 bits in a file of yours alone. Images take it from there at the very end (K3S_TOKEN_FILE); it is never shown.

Without --output it is where builds look for the token of a cluster by that name (CLUSTER_NAME).`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`).MatchString(name) {
				return diag.Userf(diag.Pos{}, "%q is no name of a cluster", name).WithHint("use letters, digits, dots, hyphens and underscores")
			}
			store := a.secrets()
			file := store.Token(name)
			if output != "" {
				file = a.absolute(output)
			}
			if err := store.WriteToken(file); err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "wrote %s\n", file)
			return nil
		},
	}
	c.Flags().StringVar(&output, "output", "", "the file to write")
	c.Flags().StringVar(&name, "name", "default", "the cluster's name (CLUSTER_NAME of its builds)")
	return c
}
