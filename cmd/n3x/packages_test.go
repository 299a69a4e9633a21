package main

import (
	"debug/elf"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"n3x/bench/packages/debdiff"
	"n3x/internal/debian/deb"
	"n3x/internal/sandbox"
)

// The recipes of the layer meta-test-packages that are built for each architecture, and the packages that come of them.
var (
	packageRecipes = "test-autotools test-cmake test-greet test-config test-prebuilt test-service cowsay ncompress"
	packagesBuilt  = []string{"test-autotools", "test-cmake", "test-greet", "test-config", "test-prebuilt", "test-service", "cowsay", "cowsay-off", "ncompress",
		"libtestgreet1", "libtestgreet-dev"}
)

const packageOverlays = "kas/base.yml:kas/machine/qemu-amd64.yml:kas/test/console.yml:kas/test/packages.yml"

// TestPackages builds every kind of package, for amd64 and cross for arm64, twice with the same bits; then an image of them all,
// whose service greets on the console.
func TestPackages(t *testing.T) {
	if os.Getenv("N3X_TEST_NETWORK") == "" {
		t.Skip("builds packages with Debian's compilers: set N3X_TEST_NETWORK=1")
	}
	first, second := project(t), project(t)
	for _, m := range []struct {
		arch, overlays string
		machine        elf.Machine
		modules        string // recipes of kernel modules, named like their packages
	}{
		// The headers of Debian's kernels want the compiler of their own architecture, which would be emulated for arm64.
		{"amd64", packageOverlays, elf.EM_X86_64, "test-module-amd64"},
		{"arm64", packageOverlays + ":kas/test/arm64.yml", elf.EM_AARCH64, ""},
	} {
		t.Run(m.arch, func(t *testing.T) {
			command := "bitbake " + packageRecipes + " " + m.modules
			n3x(t, first, 0, nil, "build", m.overlays, "--cmd", command)
			packages := workFolder(first, m.arch)
			checkBuilt(t, packages, m.arch, m.machine, strings.Fields(m.modules))
			n3x(t, second, 0, []string{"TZ=Asia/Tokyo", "LANG=de_DE.UTF-8", "BB_NUMBER_THREADS=1"}, "build", m.overlays, "--cmd", command)
			r, err := debdiff.Folders(packages, workFolder(second, m.arch))
			if err != nil {
				t.Fatal(err)
			}
			if r.Compared < len(packagesBuilt) || r.Identical != r.Compared {
				t.Errorf("of %d packages %d are bit-identical in a second build: %v", r.Compared, r.Identical, r.Differences)
			}
		})
	}
	t.Run("boot", func(t *testing.T) {
		if os.Getenv("N3X_TEST_VM") == "" {
			t.Skip("boots an image: set N3X_TEST_VM=1")
		}
		n3x(t, first, 0, nil, "build", packageOverlays)
		checkPackagesInImage(t, filepath.Join(first, "build/tmp/deploy/images/qemuamd64/test-packages-image-debian-trixie-qemuamd64"))
	})
	n3x(t, first, 0, nil, "clean")
	n3x(t, second, 0, nil, "clean")
}

func workFolder(project, arch string) string {
	return filepath.Join(project, "build/tmp/work/debian-trixie-"+arch)
}

// checkBuilt looks for each package, those of modules too, and for the machine that its programs are for.
func checkBuilt(t *testing.T, dir, arch string, machine elf.Machine, modules []string) {
	t.Helper()
	programs := 0
	for _, name := range append(modules, packagesBuilt...) {
		found, err := filepath.Glob(filepath.Join(dir, "*", "*", name+"_*.deb"))
		if err != nil || len(found) != 1 {
			t.Errorf("%s: %d packages, want 1 (%v)", name, len(found), err)
			continue
		}
		p, err := deb.OpenFile(found[0])
		if err != nil {
			t.Fatal(err)
		}
		control, err := p.Package()
		if err != nil {
			t.Fatal(err)
		}
		if control.Architecture != arch && control.Architecture != "all" {
			t.Errorf("%s is for %s, not for %s", found[0], control.Architecture, arch)
		}
		root := t.TempDir()
		if err := p.Unpack(t.Context(), root, deb.UnpackOptions{}); err != nil {
			t.Fatal(err)
		}
		p.Close()
		programs += checkPrograms(t, root, machine)
		if err := sandbox.Remove(root); err != nil {
			t.Error(err)
		}
	}
	// Four programs and a library; Debian's modules are compressed.
	if programs != 5 {
		t.Errorf("%d files are ELF, want 5", programs)
	}
}

func checkPrograms(t *testing.T, root string, machine elf.Machine) (n int) {
	t.Helper()
	err := filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		f, err := elf.Open(path)
		if err != nil {
			return nil // not an ELF file
		}
		defer f.Close()
		if n++; f.Machine != machine {
			t.Errorf("%s is for %s", strings.TrimPrefix(path, root), f.Machine)
		}
		if f.Section(".symtab") != nil {
			t.Errorf("%s is not stripped", strings.TrimPrefix(path, root))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// checkPackagesInImage boots the image that has all packages and looks whether they work.
func checkPackagesInImage(t *testing.T, image string) {
	g := boot(t, image+".ext4", image, "root=/dev/vda rw rootwait console=ttyS0,115200")
	g.check([]check{
		{"systemctl is-active test-service.service", "active"},
		{"systemctl is-enabled test-service.timer", "enabled"},
		{"journalctl -b -u test-service.service -o cat | grep greetings", "test-service: greetings to console from libtestgreet 1.2"},
		{"test-greet you", "greetings to you from libtestgreet 1.2"},
		{"test-autotools", "test-autotools 1.0, 64 bits"},
		{"test-cmake 9", "test-cmake 1.0: the root of 9 is 3"},
		{"stat -c '%a %G' /var/lib/test-config/secret", "640 test-config"},
		{"grep -c 'greeting=good day' /etc/test-config/default.conf", "1"},
		{"stat -c %F /run/test-config", "directory"},
		{"cat /usr/share/test-prebuilt/origin", "built elsewhere"},
		{"/usr/games/cowsay -h 2>&1 | grep -c patched", "1"},
		{"compress -V 2>&1 | grep -c patched", "1"},
		{"dpkg-query -W -f '${Version}\\n' ncompress | grep -c '+n3x$'", "1"},
		{"lsmod | grep -o '^test_module'", "test_module"},
		{"grep -c '^test-module$' /etc/modules", "1"},
		{"cat /etc/hostname", "packages"},
		{"stat -f -c %T /mnt /run | grep -c tmpfs", "2"}, // a line of fstab that a package appended, and one of the system's
		{"dpkg --audit | wc -l", "0"},
		{"cd / && md5sum --quiet -c /var/lib/dpkg/info/test-*.md5sums && echo unchanged", "unchanged"},
	})
}
