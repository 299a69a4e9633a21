package rootfs

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"n3x/internal/arch"
	"n3x/internal/debian/apt"
	"n3x/internal/debian/solve"
	"n3x/internal/tools"
)

// TestNetworkForeign makes the smallest root filesystem of another architecture, with all maintainer scripts under the emulator of a
// tools tree: N3X_TEST_NETWORK=1 go test -run NetworkForeign -v. It downloads 140 MB and takes 80 s of processor time for
// each architecture. N3X_TEST_FOREIGN names others than arm64, N3X_TEST_DL_DIR keeps the downloads, N3X_TEST_FOREIGN_LIST writes the list of
// files to a file of that name and the architecture, N3X_TEST_FOREIGN_SLOW=1 does without twins: the lists must be equal.
func TestNetworkForeign(t *testing.T) {
	if os.Getenv("N3X_TEST_NETWORK") == "" {
		t.Skip("set N3X_TEST_NETWORK=1 to install packages of deb.debian.org")
	}
	onAMD64(t)
	names := strings.Fields(os.Getenv("N3X_TEST_FOREIGN"))
	if len(names) == 0 {
		names = []string{"arm64"}
	}
	dl := os.Getenv("N3X_TEST_DL_DIR")
	if dl == "" {
		dl = t.TempDir()
	}
	provider := must1(tools.New(tools.Options{Client: trixie(t, dl, arch.Host()), Dir: filepath.Join(dl, "tools")}))
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			ctx, a := context.Background(), arch.Arch(name)
			if err := provider.Emulate(ctx, a); err != nil {
				t.Fatal(rendered(err))
			}
			client := trixie(t, dl, a)
			state := must1(client.Update(ctx, nil))
			words := []string{"apt", "fakeroot"}
			for _, p := range append(solve.Essential(state.Packages, a), solve.Required(state.Packages, a)...) {
				words = append(words, p.Name)
			}
			plan := must1(solve.Solve(solve.Request{Packages: state.Packages, Arch: a, Install: words}))
			var debs []Deb
			for i, path := range must1(client.Fetch(ctx, plan.Install, nil)) {
				debs = append(debs, Deb{plan.Install[i], path})
			}
			var log bytes.Buffer
			o := Options{Dir: filepath.Join(t.TempDir(), "root"), Arch: a, Install: debs, Log: &log}
			if os.Getenv("N3X_TEST_FOREIGN_SLOW") == "" {
				root, versions, err := provider.Tree(ctx, TwinPackages()...)
				if err != nil {
					t.Fatal(err)
				}
				o.Twins = Twins{root, versions}
			}
			began := time.Now()
			if _, err := Install(ctx, o); err != nil {
				t.Fatalf("%s\n%s", rendered(err), log.String())
			}
			t.Logf("%d packages in %v", len(debs), time.Since(began).Round(time.Second))
			if to := os.Getenv("N3X_TEST_FOREIGN_LIST"); to != "" {
				if err := os.WriteFile(to+"."+name, []byte(listTree(t, o.Dir)), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			checkEmulated(t, Stack{o.Dir}, a)
		})
	}
}

// trixie is Debian's suite for one architecture.
func trixie(t *testing.T, dl string, a arch.Arch) *apt.Client {
	t.Helper()
	keys, _ := apt.DebianKeyring("debian-archive-keyring.gpg")
	sources := must1(apt.ParseSources("test.list", []byte("deb http://deb.debian.org/debian trixie main\n")))
	return must1(apt.Open(apt.Options{Sources: sources, Keyrings: [][]byte{keys}, Arches: []arch.Arch{a}, DownloadDir: dl, Pool: "debian-trixie"}))
}

// checkEmulated runs programs of a root filesystem.
func checkEmulated(t *testing.T, s Stack, a arch.Arch) {
	t.Helper()
	d := must1(NewDraft(filepath.Join(t.TempDir(), "check"), s))
	defer d.Discard()
	for line, want := range map[string]string{
		"uname -m":                     a.Kernel(),
		"dpkg --print-architecture":    string(a),
		"dpkg --audit; dpkg -V":        "",
		"find /run /tmp -mindepth 1":   "",
		"ls -d /usr/bin/*qemu* 2>&-":   "",
		"exec -a zero sh -c 'echo $0'": "zero",
		"chmod 4755 /usr/bin/id; setpriv --reuid 1 --clear-groups /usr/bin/id -un":                               "root",
		"setpriv --reuid 1 --clear-groups fakeroot sh -c 'touch /tmp/a; chown 5:6 /tmp/a; stat -c %u:%g /tmp/a'": "5:6",
		"perl -e 'print 6*7, qq(\\n)'; sleep 100 &":                                                              "42",
		"sh -c 'kill -9 $$'; echo $?":                                                                            "137",
	} {
		out, err := d.Command("bash", "-c", line).Output(context.Background())
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		if got := lines[len(lines)-1]; got != want || err != nil && want != "" {
			t.Errorf("%s: %q (%v), want %q", line, got, err, want)
		}
	}
}
