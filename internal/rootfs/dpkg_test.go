package rootfs

import (
	"errors"
	"strings"
	"testing"

	"n3x/internal/sandbox"
)

// TestExplain holds lines that dpkg 1.21.22 and 1.22.21 wrote to --status-fd when packages failed for the reason given.
func TestExplain(t *testing.T) {
	tests := []struct{ status, want string }{
		{"status: bad : error : installed bad package post-installation script subprocess returned error exit status 7",
			"install bad: its postinst script ended with exit status 7"},
		{"status: /run/.n3x-debs/bad_1_all.0123456789abcdef.deb : error : new bad package pre-installation script subprocess was killed by signal (Killed)",
			"install bad: its preinst script was killed by signal (Killed)"},
		{"status: bad : error : old bad package pre-removal script subprocess returned error exit status 1",
			"install bad: its prerm script ended with exit status 1"},
		{"status: bad : error : dependency problems - leaving unconfigured", "install bad: dependency problems - leaving unconfigured"},
		{"status: /run/.n3x-debs/b_2%3a1_amd64.0123456789abcdef.deb : error : trying to overwrite '/usr/bin/x', which is also in package a 1",
			"install b: /usr/bin/x is in package b and in package a\n"},
		{"status: /run/.n3x-debs/b_1_all.0123456789abcdef.deb : error : trying to overwrite '/etc/a b', which is also in package a:i386 (1:2.0-1)",
			"install b: /etc/a b is in package b and in package a:i386\n"},
		{"status: /run/.n3x-debs/b_1_all.0123456789abcdef.deb : error : trying to overwrite directory '/etc/dir' in package e (1) with nondirectory",
			"install b: /etc/dir is a file in package b and a folder in package e\n"},
		{"status: /run/.n3x-debs/s_1_i386.0123456789abcdef.deb : error : trying to overwrite shared '/usr/share/s', which is different from other instances of package s:i386",
			"install s: /usr/share/s differs between the architectures of package s, which is Multi-Arch: same\n"},
		{"status: /run/.n3x-debs/g_1_all.0123456789abcdef.deb : error : trying to overwrite '/usr/bin/x.div', which is the diverted version of '/usr/bin/x'",
			"install g: /usr/bin/x.div is in package g, and it is where /usr/bin/x was diverted to\n"},
		{"processing: configure: bad", "run dpkg: "},
	}
	for _, tt := range tests {
		var failures []failure
		if f, ok := new(dpkg).status(tt.status); ok {
			failures = append(failures, f)
		}
		output := &transcript{}
		_, _ = output.Write([]byte("first\nlast words\n"))
		ran := &sandbox.ExitError{Status: 1}
		err := explain(ran, failures, output)
		text := rendered(err)
		if !strings.HasPrefix(text, "n3x: error: "+tt.want) || !strings.Contains(text, "note: last words\n") {
			t.Errorf("%s:\n%s\nwant %s", tt.status, text, tt.want)
		}
		if !errors.Is(err, ran) {
			t.Errorf("%s: the exit status is lost", tt.status)
		}
	}
}
