package solve

import (
	"testing"

	"n3x/internal/debian"
)

func BenchmarkUniverse(b *testing.B) {
	pk := loadXZ(b, "/tmp/solve/Packages-trixie.xz", &debian.Index{})
	b.ResetTimer()
	for b.Loop() {
		NewUniverse(Request{Packages: pk, Arch: "amd64"})
	}
}

func BenchmarkSolve(b *testing.B) {
	pk := loadXZ(b, "/tmp/solve/Packages-trixie.xz", &debian.Index{})
	u := NewUniverse(Request{Packages: pk, Arch: "amd64"})
	b.ResetTimer()
	for b.Loop() {
		u.Solve("linux-image-amd64", "systemd", "systemd-sysv", "udev", "dbus", "curl", "openssh-server", "task-gnome-desktop")
	}
}
