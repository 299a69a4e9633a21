package debhelper

import "testing"

// TestRulesThatDoNoMore holds makefiles that ask for no more than dh does, as example-raw of ISAR's meta-isar has one, and
// their likes that do more.
func TestRulesThatDoNoMore(t *testing.T) {
	t.Parallel()
	const head = "#!/usr/bin/make -f\n"
	for text, skipped := range map[string]string{
		head + "%:\n\tdh \\$@\n\n# comment\noverride_dh_usrlocal:\n\ttrue\n": "dh_usrlocal",
		head + "%:\n\tdh $@\noverride_dh_strip:\n\t:\n\ttrue\n":              "dh_strip",
		head + "%:\n\tdh  $@\noverride_dh_dwz:\n":                            "dh_dwz",
	} {
		r, err := parseRules(text)
		if err != nil || !r.skipped[skipped] || len(r.skipped) != 1 {
			t.Errorf("%q: %v, %v", text, r, err)
		}
	}
	for _, text := range []string{
		head + "%:\n\tdh \\\\$@\n", head + "%:\n\tdh $@ --with x\n", head + "%:\n\tdh\n",
		head + "%:\n\tdh $@\noverride_dh_usrlocal:\n\ttrue x\n", head + "%:\n\tdh $@\noverride_dh_gencontrol:\n\ttrue\n",
	} {
		if r, err := parseRules(text); err == nil {
			t.Errorf("%q was taken as %v", text, r)
		}
	}
}
