package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"n3x/internal/debian/deb"
)

// standIns stand for NVIDIA's packages in a project: on a machine that is a Jetson by name, but has this machine's processor, so that
// nothing is emulated.
type standIns struct {
	t   *testing.T
	dir string // of the project
}

const l4tVersion = "36.4.4-20250616085344"

func newStandIns(t *testing.T) *standIns {
	t.Helper()
	s := &standIns{t, project(t)}
	s.write("meta-standin/conf/layer.conf", `BBPATH .= ":${LAYERDIR}"
BBFILES += "${LAYERDIR}/recipes-*/*/*.bbappend"
BBFILE_COLLECTIONS += "standin"
BBFILE_PATTERN_standin = "^${LAYERDIR}/"
BBFILE_PRIORITY_standin = "11"
LAYERSERIES_COMPAT_standin = "v0.6 next"
`)
	s.write("meta-standin/conf/machine/jetson-orin-standin.conf", "DISTRO_ARCH = \"amd64\"\nKERNEL_NAME = \"amd64\"\nrequire conf/machine/jetson-orin-nano.conf\n")
	s.write("kas/test/standin.yml", "header: {version: 14}\nmachine: jetson-orin-standin\nrepos: {this: {layers: {meta-standin: }}}\n")
	// NVIDIA's script asks for the board that it is run on, unless the mark is there.
	s.deb("nvidia-l4t-core", "Pre-Depends: libc6\n", "#!/bin/sh\nset -e\nif [ -e /opt/nvidia/l4t-packages/.nv-l4t-disable-boot-fw-update-in-preinstall ]; then exit 0; fi\n"+
		"echo 'this is no board of NVIDIA' >&2\nexit 1\n")
	return s
}

func (s *standIns) write(name, text string) {
	s.t.Helper()
	file := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// deb makes a package and lets its recipe take it.
func (s *standIns) deb(name, fields, preinst string, programs ...string) {
	s.t.Helper()
	control := "Package: " + name + "\nVersion: " + l4tVersion + "\nArchitecture: amd64\nMaintainer: t <t@t>\n" + fields + "Description: stand-in\n"
	c := deb.Contents{ModTime: time.Unix(1e9, 0), Control: []deb.ControlFile{{Name: "control", Mode: 0o644, Data: []byte(control)}}}
	if preinst != "" {
		c.Control = append(c.Control, deb.ControlFile{Name: "preinst", Mode: 0o755, Data: []byte(preinst)})
	}
	for _, p := range programs {
		text := "#!/bin/sh\n"
		c.Data = append(c.Data, deb.Entry{Header: tar.Header{Name: p, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(text))},
			Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }})
	}
	var b bytes.Buffer
	if err := deb.Write(&b, c); err != nil {
		s.t.Fatal(err)
	}
	file := name + "_" + l4tVersion + "_amd64.deb"
	s.write("meta-standin/recipes-bsp/nvidia-l4t/files/"+file, b.String())
	s.write("meta-standin/recipes-bsp/nvidia-l4t/"+name+".bbappend", fmt.Sprintf(
		"FILESEXTRAPATHS:prepend := \"${THISDIR}/files:\"\nSRC_URI = \"file://%s;sha256sum=%x\"\n", file, sha256.Sum256(b.Bytes())))
}

// TestJetson builds a Jetson's image with stand-ins: NVIDIA's script finds its mark, and the build fails when a program is missing.
func TestJetson(t *testing.T) {
	if os.Getenv("N3X_TEST_NETWORK") == "" {
		t.Skip("builds an image: set N3X_TEST_NETWORK=1")
	}
	s := newStandIns(t)
	defer n3x(t, s.dir, 0, nil, "clean")
	const files = "kas/base.yml:kas/machine/jetson-orin-nano.yml:kas/image/base.yml:kas/network/simple.yml:kas/test/standin.yml"
	s.deb("nvidia-l4t-tools", "Depends: nvidia-l4t-core\n", "", "usr/sbin/nvbootctrl", "usr/bin/tegrastats")
	if out := n3x(t, s.dir, 1, nil, "build", files); !strings.Contains(out, "lacks programs of NVIDIA's packages: jetson_clocks;") {
		t.Errorf("with a program missing:\n%s", out)
	}
	s.deb("nvidia-l4t-tools", "Depends: nvidia-l4t-core\n", "", "usr/sbin/nvbootctrl", "usr/bin/tegrastats", "usr/bin/jetson_clocks")
	n3x(t, s.dir, 0, nil, "build", files)
	image := filepath.Join(s.dir, "build/tmp/deploy/images/jetson-orin-standin/isar-k3s-image-base-debian-trixie-jetson-orin-standin")
	content := unpacked(t, image+".tar.gz", "opt/nvidia/l4t-packages/.nv-l4t-disable-boot-fw-update-in-preinstall", "usr/bin/jetson_clocks", "boot/extlinux/extlinux.conf")
	entry := content["boot/extlinux/extlinux.conf"]
	for _, want := range []string{"LINUX /boot/Image\n", "INITRD /boot/initrd\n", "APPEND ${cbootargs} root=PARTLABEL=APP rw rootwait rootfstype=ext4 console=ttyTCU0,115200 net.ifnames=0"} {
		if !strings.Contains(entry, want) {
			t.Errorf("the boot entry has no %q:\n%s", want, entry)
		}
	}
	for _, suffix := range []string{"-vmlinuz", "-initrd.img"} {
		if st, err := os.Stat(image + suffix); err != nil || st.Size() == 0 {
			t.Errorf("%s: %v", suffix, err)
		}
	}
	if _, err := os.Stat(image + ".wic"); err == nil {
		t.Error("there is a disk, which NVIDIA's flasher makes")
	}
}

// unpacked gives the contents of files of an archive, all of which must be there.
func unpacked(t *testing.T, archive string, names ...string) map[string]string {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.TrimPrefix(h.Name, "./") == name {
				data, err := io.ReadAll(r)
				if err != nil {
					t.Fatal(err)
				}
				found[name] = string(data)
			}
		}
	}
	for _, name := range names {
		if _, ok := found[name]; !ok {
			t.Errorf("%s has no %s", archive, name)
		}
	}
	return found
}
