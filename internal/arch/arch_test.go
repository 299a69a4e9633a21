package arch

import "testing"

func TestNames(t *testing.T) {
	t.Parallel()
	for a, want := range map[Arch][4]string{
		"amd64": {"x86_64-linux-gnu", "x86_64", "x64", "x86_64"},
		"arm64": {"aarch64-linux-gnu", "aarch64", "aa64", "aarch64"},
		"mips":  {},
	} {
		if got := [4]string{a.GNU(), a.Kernel(), a.EFI(), a.QEMU()}; got != want {
			t.Errorf("%s: %v, want %v", a, got, want)
		}
		if a.Known() != (want[0] != "") {
			t.Errorf("%s known: %v", a, a.Known())
		}
	}
	if !Host().Known() {
		t.Errorf("this machine's architecture %q is unknown", Host())
	}
}

func TestRunsOn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, host Arch
		want    bool
	}{{"amd64", "amd64", true}, {"i386", "amd64", true}, {"all", "arm64", true}, {"amd64", "i386", false}, {"arm64", "amd64", false}, {"armhf", "arm64", true}, {"armhf", "amd64", false}} {
		if c.a.RunsOn(c.host) != c.want {
			t.Errorf("%s on %s: %v", c.a, c.host, !c.want)
		}
	}
}
