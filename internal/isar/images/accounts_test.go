package images

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func line(s step) string {
	out := strings.Join(s.argv, " ")
	if s.input != "" {
		out += " < " + strings.TrimSpace(s.input)
	}
	return out
}

// The commands are those that ISAR's image-account-extension runs for the same flags.
func TestUserSteps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		e    entry
		want []string
	}{
		{"new, bare", entry{name: "a"}, []string{"/usr/sbin/useradd a"}},
		{"new, all", entry{name: "a", words: []string{"system", "create-home", "force-passwd-change"}, flag: map[string]string{
			"expiredate": "2030-01-01", "inactive": "3", "uid": "700", "gid": "users", "comment": "x y", "shell": "/bin/sh", "home": "/srv/a", "groups": "sudo adm", "password": "$6$x"}},
			[]string{"/usr/sbin/useradd --expire 2030-01-01 --inactive 3 --uid 700 --gid users --comment x y --shell /bin/sh --groups sudo,adm --home-dir /srv/a --system --create-home a",
				"/usr/sbin/chpasswd -e < a:$6$x", "/usr/bin/passwd --expire a"}},
		{"existing, nothing to do", entry{name: "root", exist: true}, nil},
		{"existing, home moves", entry{name: "root", exist: true, flag: map[string]string{"home": "/r"}}, []string{"/usr/sbin/usermod --home /r --move-home root"}},
		{"existing, only a password", entry{name: "root", exist: true, flag: map[string]string{"password": "h"}}, []string{"/usr/sbin/chpasswd -e < root:h"}},
		{"empty password allowed", entry{name: "root", exist: true, words: []string{"allow-empty-password"}}, []string{"/usr/sbin/chpasswd -e < root:"}},
		{"no home", entry{name: "a", words: []string{"no-create-home"}}, []string{"/usr/sbin/useradd --no-create-home a"}},
	} {
		var got []string
		for _, s := range userSteps(c.e) {
			got = append(got, line(s))
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

func TestGroupStep(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		e    entry
		want string
	}{
		{entry{name: "g"}, "/usr/sbin/groupadd g"},
		{entry{name: "g", flag: map[string]string{"gid": "900"}, words: []string{"system"}}, "/usr/sbin/groupadd --gid 900 --system g"},
		{entry{name: "g", exist: true}, ""},
		{entry{name: "g", exist: true, flag: map[string]string{"gid": "900"}}, "/usr/sbin/groupmod --gid 900 g"},
	} {
		got := ""
		if s := groupStep(c.e); s != nil {
			got = line(*s)
		}
		if got != c.want {
			t.Errorf("%+v: %q, want %q", c.e, got, c.want)
		}
	}
}
