package images

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"n3x/internal/atomicfile"
	"n3x/internal/debian"
	"n3x/internal/debian/deb"
	"n3x/internal/diag"
	"n3x/internal/isar"
)

// postprocess runs the functions of ROOTFS_POSTPROCESS_COMMAND.
func postprocess(ctx context.Context, c *isar.Call) error {
	if _, err := tree(c); err != nil {
		return err
	}
	names, err := c.Words("ROOTFS_POSTPROCESS_COMMAND")
	if err != nil {
		return err
	}
	for i, name := range names {
		name = strings.TrimSuffix(name, ";") // as OpenEmbedded's layers write it
		if name == "" {
			continue
		}
		c.Progress.Step(name)
		c.Progress.Advance(int64(i), int64(len(names)), "functions")
		if err := c.Exec(ctx, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// installed reads dpkg's database of the tree: what is installed, sorted by name and architecture.
func installed(t *isar.Tree) ([]*debian.Package, error) {
	text, err := readFile(t, "/var/lib/dpkg/status")
	if err != nil {
		return nil, err
	}
	r := deb.NewReader(filepath.Join(t.Dir, "var/lib/dpkg/status"), strings.NewReader(text))
	var list []*debian.Package
	for {
		s, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if !strings.HasSuffix(s.Field("Status"), " installed") {
			continue
		}
		p, err := deb.ParsePackage(s)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	slices.SortFunc(list, byName)
	return list, nil
}

// versionOf is the version of a package installed in the tree, "" when it is not.
func versionOf(t *isar.Tree, name string) (debian.Version, error) {
	list, err := installed(t)
	if err != nil {
		return "", err
	}
	for _, p := range list {
		if p.Name == name {
			return p.Version, nil
		}
	}
	return "", nil
}

// generateManifest writes one line for each package: source|source version|package:architecture|version.
func generateManifest(_ context.Context, c *isar.Call) error {
	t, err := tree(c)
	if err != nil {
		return err
	}
	v, err := c.Values("ROOTFS_MANIFEST_DEPLOY_DIR", "ROOTFS_PACKAGE_SUFFIX")
	if err != nil {
		return err
	}
	list, err := installed(t)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, p := range list {
		source, version := p.Source, p.SourceVersion
		if source == "" {
			source = p.Name
		}
		if version == "" {
			version = p.Version
		}
		fmt.Fprintf(&b, "%s|%s|%s:%s|%s\n", source, version, p.Name, p.Architecture, p.Version)
	}
	return atomicfile.Write(filepath.Join(v[0], v[1]+".manifest"), []byte(b.String()), 0o644)
}

// machineID leaves the machine's identity to its first boot (machine-id(5)): "uninitialized" where systemd knows the
// word, an empty file where it does not.
func machineID(_ context.Context, c *isar.Call) error {
	t, err := tree(c)
	if err != nil {
		return err
	}
	version, err := versionOf(t, "systemd")
	if err != nil {
		return err
	}
	text := "uninitialized\n"
	if version == "" || version.Compare("247~") < 0 {
		text = "\n"
	}
	if err := removeIn(t, "/var/lib/dbus/machine-id"); err != nil {
		return err
	}
	if err := writeFile(t, "/etc/machine-id", text); err != nil || version == "" {
		return err
	}
	file, err := inside(t, "/etc/machine-id")
	if err != nil {
		return err
	}
	return os.Chmod(file, 0o444) // as systemd makes it; at boot it fills the file and leaves the mode
}

// sshdKeyRegen refuses an image whose machines would all have the same host keys, or none.
func sshdKeyRegen(_ context.Context, c *isar.Call) error {
	t, err := tree(c)
	if err != nil {
		return err
	}
	keys, err := filepath.Glob(filepath.Join(t.Dir, "etc/ssh/ssh_host_*key*"))
	if err != nil {
		return err
	}
	list, err := installed(t)
	if err != nil {
		return err
	}
	has := func(name string) bool {
		return slices.ContainsFunc(list, func(p *debian.Package) bool { return p.Name == name })
	}
	if len(keys) > 0 && !has("sshd-regen-keys") {
		return diag.Userf(c.Pos, "the image holds the SSH host key %s, which all machines that run it would share", strings.TrimPrefix(keys[0], t.Dir)).
			WithHint("add a recipe that makes keys at first boot: IMAGE_INSTALL += \"sshd-regen-keys\"")
	}
	if has("openssh-server") && !has("sshd-regen-keys") {
		fmt.Fprintf(c.Log, "WARNING: %s has openssh-server but nothing that makes its host keys at first boot; add sshd-regen-keys to IMAGE_INSTALL\n", c.Recipe)
	}
	return nil
}

// disableSystemdFirstboot masks the service that would ask questions on the console.
func disableSystemdFirstboot(ctx context.Context, c *isar.Call) error {
	t, err := tree(c)
	if err != nil {
		return err
	}
	version, err := versionOf(t, "systemd")
	if err != nil || version == "" || version.Compare("251~") < 0 {
		return err
	}
	return chroot(ctx, c, "systemctl", "mask", "systemd-firstboot")
}
