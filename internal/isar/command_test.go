package isar

import (
	"testing"

	"n3x/internal/arch"
)

func TestForeignLoader(t *testing.T) {
	t.Parallel()
	if arch.Host() != "amd64" {
		t.Skip("says what is foreign to amd64")
	}
	for _, tt := range []struct {
		name string
		of   arch.Arch
		want bool
	}{
		{"grub-efi-arm64-bin", "", true}, {"grub-efi-arm64-bin", "arm64", true}, {"systemd-boot-efi", "arm64", true},
		{"grub-efi-amd64-bin", "", false}, {"grub-efi-ia32-bin", "", false}, {"systemd-boot-efi", "amd64", false}, {"systemd-boot-efi", "native", false},
	} {
		if got := isForeignLoader(tt.name, tt.of); got != tt.want {
			t.Errorf("%s:%s: %v", tt.name, tt.of, got)
		}
	}
}
