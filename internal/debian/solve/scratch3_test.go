package solve

import (
	"runtime"
	"syscall"
	"testing"

	"n3x/internal/debian"
)

func cpu() float64 {
	var ru syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
	return float64(ru.Utime.Sec)*1000 + float64(ru.Utime.Usec)/1000 + float64(ru.Stime.Sec)*1000 + float64(ru.Stime.Usec)/1000
}

func TestCPU(t *testing.T) {
	pk := loadXZ(t, "/tmp/solve/Packages-trixie.xz", &debian.Index{})
	runtime.GC()
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	base := ms.HeapAlloc
	var u *Universe
	for range 3 {
		c0 := cpu()
		u = NewUniverse(Request{Packages: pk, Arch: "amd64"})
		t.Logf("universe %.0f ms CPU", cpu()-c0)
	}
	runtime.GC()
	runtime.ReadMemStats(&ms)
	t.Logf("packages %d MB, universe %d MB", base>>20, (ms.HeapAlloc-base)>>20)
	words := []string{"linux-image-amd64", "systemd", "systemd-sysv", "udev", "dbus", "ca-certificates", "curl", "iptables", "conntrack", "iproute2", "ipvsadm", "bridge-utils", "procps", "kmod", "openssh-server", "less", "vim-tiny", "iputils-ping", "locales", "apt"}
	for _, p := range append(Essential(pk, "amd64"), Required(pk, "amd64")...) {
		words = append(words, p.Name)
	}
	for range 3 {
		c0 := cpu()
		p, err := u.Solve(words...)
		t.Logf("solve %.0f ms CPU, %d packages %v", cpu()-c0, len(p.Install), err)
	}
	for _, w := range [][]string{{"exim4", "postfix"}, {"gnome", "kde-full"}, {"gnome", "libgtk-4-1-"}} {
		c0 := cpu()
		_, err := u.Solve(w...)
		t.Logf("%v %.0f ms CPU, %v", w, cpu()-c0, err != nil)
	}
}
