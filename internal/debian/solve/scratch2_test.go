package solve

import (
	"testing"
	"time"

	"n3x/internal/debian"
)

func TestTrees(t *testing.T) {
	pk := loadXZ(t, "/tmp/solve/Packages-trixie.xz", &debian.Index{Suite: "trixie"})
	u := NewUniverse(Request{Packages: pk, Arch: "amd64"})
	for _, words := range [][]string{{"cur1"}, {"exim4", "postfix"}, {"curl=1.0"}, {"default-mta-x", "awk", "mail-transport-agent"},
		{"libc6-"}, {"curl", "libcurl4t64-"}, {"sysvinit-core", "systemd-sysv"}, {"gcc:i386"}, {"bsd-mailx", "exim4-daemon-light-", "default-mta-"}, {"lib*"}, {"curl/bookworm"},
		{"linux-image-amd64", "kmod-"}, {"gnome", "libgtk-4-1-"}, {"tcsh", "apache2", "nginx-full", "nginx-light"}, {"opensmtpd", "exim4-daemon-light", "curl"}} {
		t0 := time.Now()
		p, err := u.Solve(words...)
		if err == nil {
			t.Log(words, "OK", len(p.Install), time.Since(t0))
		} else {
			t.Logf("%s\n(%v)", err, time.Since(t0))
		}
	}
}
