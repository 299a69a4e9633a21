package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// machines are the machines with UEFI, and what stands for the console on their kernels' command lines.
var machines = []struct{ name, console string }{
	{"qemu-amd64", "ttyS0,115200"}, {"qemu-arm64", "ttyAMA0,115200"}, {"amd-v3c18i", "ttyS4,115200"},
}

// loaders are the overlays that choose a boot loader, and what begins the line of its files that has the kernel's command line.
var loaders = []struct{ overlay, layout, line string }{
	{"", "systemd-boot", "options "}, {":kas/boot/systemd-boot.yml", "systemd-boot", "options "}, {":kas/boot/grub.yml", "grub-efi", "linux "},
}

// TestConsoles checks, for each machine and boot loader, the layout that the disk would be made by.
func TestConsoles(t *testing.T) {
	dir := project(t)
	for _, m := range machines {
		for _, l := range loaders {
			files := "kas/base.yml:kas/machine/" + m.name + ".yml:kas/image/base.yml" + l.overlay
			vars := variables(t, dir, files, "WKS_FILE", "MACHINE_SERIAL", "BAUDRATE_TTY", "WICVARS")
			data, err := os.ReadFile(filepath.Join(dir, "meta-isar-k3s/wic", vars["WKS_FILE"]+".wks"))
			if err != nil {
				t.Fatal(err)
			}
			layout := os.Expand(string(data), func(name string) string {
				if !strings.Contains(" "+vars["WICVARS"]+" ", " "+name+" ") {
					t.Errorf("%s: WICVARS has no %s, so ISAR's wic does not know it", files, name)
				}
				return vars[name]
			})
			if !strings.Contains(layout, "loader="+l.layout+`"`) || !regexp.MustCompile(`(?m)^bootloader .*console=`+m.console+" ").MatchString(layout) {
				t.Errorf("%s: the layout is\n%s", files, layout)
			}
		}
	}
	vars := variables(t, dir, "kas/base.yml:kas/machine/jetson-orin-nano.yml:kas/image/base.yml", "IMAGE_FSTYPES", "MACHINE_SERIAL", "KERNEL_NAME")
	if vars["IMAGE_FSTYPES"] != "tar.gz" || vars["MACHINE_SERIAL"] != "ttyTCU0" || vars["KERNEL_NAME"] != "arm64" {
		t.Errorf("jetson-orin-nano: %v", vars)
	}
	vars = variables(t, dir, "kas/base.yml:kas/machine/jetson-orin-nano.yml:kas/kernel/tegra-6.12.yml:kas/image/base.yml", "KERNEL_NAME", "IMAGE_INSTALL")
	if !strings.Contains(vars["IMAGE_INSTALL"], "linux-image-tegra") || !strings.Contains(vars["IMAGE_INSTALL"], "nvidia-l4t-tools") {
		t.Errorf("with linux-tegra: %v", vars)
	}
}

// variables asks for an image's.
func variables(t *testing.T, dir, files string, names ...string) map[string]string {
	t.Helper()
	out := n3x(t, dir, 0, nil, "build", files, "--cmd", "bitbake -e isar-k3s-image-base")
	found := map[string]string{}
	for _, name := range names {
		m := regexp.MustCompile(`(?m)^` + name + `="(.*)"$`).FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("%s: no %s in\n%.2000s", files, name, out)
		}
		found[name] = strings.Join(strings.Fields(m[1]), " ")
	}
	return found
}

// TestLoaders reads the finished disks of the board without graphics.
func TestLoaders(t *testing.T) {
	if os.Getenv("N3X_TEST_NETWORK") == "" {
		t.Skip("builds an image: set N3X_TEST_NETWORK=1")
	}
	dir := project(t)
	defer n3x(t, dir, 0, nil, "clean")
	image := filepath.Join(dir, "build/tmp/deploy/images/amd-v3c18i/isar-k3s-image-base-debian-trixie-amd-v3c18i")
	for _, l := range loaders[1:] {
		n3x(t, dir, 0, nil, "build", "kas/base.yml:kas/machine/amd-v3c18i.yml:kas/image/base.yml:kas/network/simple.yml"+l.overlay)
		disk, err := os.Open(image + ".wic")
		if err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 200<<20) // the boot partition comes first
		n, err := disk.Read(head)
		disk.Close()
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, m := range regexp.MustCompile(`(?m)^`+l.line+`[^\n]*root=PARTUUID=[^\n]*$`).FindAll(head[:n], -1) {
			lines = append(lines, string(m))
		}
		if len(lines) != 1 || !strings.Contains(lines[0]+" ", " console=ttyS4,115200 ") || strings.Count(lines[0], "console=") != 1 {
			t.Errorf("%s: the kernel's command lines are %q", l.overlay, lines)
		}
	}
	if st, err := os.Stat(image + ".wic.zst"); err != nil || st.Size() == 0 {
		t.Errorf("no compressed disk: %v", err)
	}
	// The kernel wants the processor's corrections uncompressed at the beginning of the initrd, whatever processor built it.
	initrd, err := os.ReadFile(image + "-initrd.img")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(initrd, []byte("070701")) || !bytes.Contains(initrd[:min(len(initrd), 1<<20)], []byte("kernel/x86/microcode/AuthenticAMD.bin")) {
		t.Errorf("the initrd does not begin with AMD's microcode: %s", fmt.Sprintf("%.32q", initrd))
	}
}
