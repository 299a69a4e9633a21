package isar

import (
	"errors"
	"slices"

	"n3x/internal/arch"
	"n3x/internal/bitbake/datastore"
)

// root says for which distribution and architectures packages are wanted.
type root struct {
	distro, base string      // e.g. "debian-trixie", "debian"
	arches       []arch.Arch // the native one first
	host         bool        // programs run on the machine that builds, and packages are for another
}

// rootOf reads them: ROOTFS_ARCH is the native architecture, or else DISTRO_ARCH, which is a foreign one in a root that
// cross-builds. Such a root's own packages come from HOST_DISTRO.
func rootOf(d *datastore.Data) (root, error) {
	var err error
	value := func(name string) string {
		v, e := d.Value(name)
		err = errors.Join(err, e)
		return v
	}
	target, native := value("DISTRO_ARCH"), value("ROOTFS_ARCH")
	if native == "" {
		native = target
	}
	r := root{distro: value("DISTRO"), base: value("BASE_DISTRO"), host: native != target && native == value("HOST_ARCH")}
	if r.host {
		r.distro = value("HOST_DISTRO")
		if base := value("HOST_BASE_DISTRO"); base != "" {
			r.base = base
		}
	}
	add := func(a string) {
		if a != "" && !slices.Contains(r.arches, arch.Arch(a)) {
			r.arches = append(r.arches, arch.Arch(a))
		}
	}
	r.arches = []arch.Arch{arch.Arch(native)}
	add(target)
	if truth(value("ISAR_ENABLE_COMPAT_ARCH")) {
		add(value("COMPAT_DISTRO_ARCH"))
	}
	return r, err
}

// key names the distribution and the architectures, e.g. "debian-trixie-amd64".
func (r root) key() string {
	key := r.distro
	for _, a := range r.arches {
		key += "-" + string(a)
	}
	return key
}

// name is the variable to read: a root for the machine that builds has its own, when it is set.
func (r root) name(d *datastore.Data, variable string) string {
	if _, ok, err := d.Var("HOST_"+variable, false); r.host && ok && err == nil {
		return "HOST_" + variable
	}
	return variable
}
