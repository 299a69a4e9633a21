package packages

import (
	"archive/tar"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"n3x/internal/debian/deb"
)

// unitSuffixes are the systemd units that a recipe may bring as files named after its package.
var unitSuffixes = []string{".mount", ".path", ".service", ".socket", ".target", ".timer",
	"@.path", "@.service", "@.socket", "@.target", "@.timer"}

var installSection = regexp.MustCompile(`(?m)^\s*\[Install\]\s*$`)

// maintainerScripts are the recipe's own scripts with what enables units and creates temporary files put at their
// #DEBHELPER# line, and the files that belong to them.
func (r *raw) maintainerScripts(entries []deb.Entry) (control []deb.ControlFile, files []deb.Entry, err error) {
	files, err = r.unitFiles()
	if err != nil {
		return nil, nil, err
	}
	units, err := enabledUnits(append(slices.Clone(entries), files...))
	if err != nil {
		return nil, nil, err
	}
	generated := systemdSnippets(units)
	for _, f := range files {
		if strings.HasPrefix(f.Name, "./usr/lib/tmpfiles.d/") {
			generated["postinst"] += fmt.Sprintf(configureOnly, "systemd-tmpfiles --create "+path.Base(f.Name)+" || true")
		}
	}
	for _, name := range []string{"preinst", "postinst", "prerm", "postrm"} {
		own, err := os.ReadFile(filepath.Join(r.work, name))
		switch {
		case os.IsNotExist(err) && generated[name] == "":
			continue
		case os.IsNotExist(err):
			own = []byte("#!/bin/sh\nset -e\n#DEBHELPER#\n")
		case err != nil:
			return nil, nil, err
		}
		text := strings.ReplaceAll(string(own), "#DEBHELPER#", strings.TrimRight(generated[name], "\n"))
		control = append(control, deb.ControlFile{Name: name, Mode: 0o755, Data: []byte(text)})
	}
	triggers, err := os.ReadFile(filepath.Join(r.work, r.name+".triggers"))
	if err == nil {
		control = append(control, deb.ControlFile{Name: "triggers", Mode: 0o644, Data: triggers})
	} else if !os.IsNotExist(err) {
		return nil, nil, err
	}
	return control, files, nil
}

// unitFiles are the units and tmpfiles that lie beside the recipe's other files instead of below D.
func (r *raw) unitFiles() ([]deb.Entry, error) {
	var out []deb.Entry
	add := func(source, target string) error {
		data, err := os.ReadFile(filepath.Join(r.work, source))
		if os.IsNotExist(err) {
			return nil
		}
		if err == nil {
			out = append(out, r.textEntry("./usr/lib/"+target, 0o644, data))
		}
		return err
	}
	for _, s := range unitSuffixes {
		if err := add(r.name+s, "systemd/system/"+r.name+s); err != nil {
			return nil, err
		}
		user := strings.Replace(s, ".", ".user.", 1)
		if err := add(r.name+user, "systemd/user/"+r.name+s); err != nil {
			return nil, err
		}
	}
	return out, add(r.name+".tmpfiles", "tmpfiles.d/"+r.name+".conf")
}

// units are the names of units to enable, of the system and of each user's session.
type units struct{ system, user []string }

// enabledUnits are those with an [Install] section, wherever the package has them.
func enabledUnits(entries []deb.Entry) (units, error) {
	var u units
	for _, e := range entries {
		dir, name := path.Split(strings.TrimPrefix(e.Name, "./"))
		system := dir == "usr/lib/systemd/system/" || dir == "lib/systemd/system/"
		user := dir == "usr/lib/systemd/user/"
		if e.Typeflag != tar.TypeReg || !(system || user) {
			continue
		}
		text, err := readEntry(e)
		if err != nil {
			return u, err
		}
		switch {
		case !installSection.Match(text):
		case system:
			u.system = append(u.system, name)
		default:
			u.user = append(u.user, name)
		}
	}
	slices.Sort(u.system)
	slices.Sort(u.user)
	return u, nil
}

func readEntry(e deb.Entry) ([]byte, error) {
	f, err := e.Open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, e.Size)
	n := 0
	for n < len(data) {
		m, err := f.Read(data[n:])
		n += m
		if err != nil {
			break
		}
	}
	return data[:n], nil
}

const configureOnly = `
if [ "$1" = configure ] || [ "$1" = abort-upgrade ] || [ "$1" = abort-deconfigure ] || [ "$1" = abort-remove ]; then
    %s
fi
`

// systemdSnippets are the parts of maintainer scripts that dh_installsystemd(1) and dh_installsystemduser(1) would
// add: enable at installation unless the administrator has decided otherwise, start, restart and stop when systemd
// runs, forget everything at purge.
func systemdSnippets(u units) map[string]string {
	out := map[string]string{}
	for _, name := range u.system {
		out["postinst"] += fmt.Sprintf(configureOnly, strings.ReplaceAll(`deb-systemd-helper unmask 'UNIT' > /dev/null || true
    if deb-systemd-helper --quiet was-enabled 'UNIT'; then
        deb-systemd-helper enable 'UNIT' > /dev/null || true
    else
        deb-systemd-helper update-state 'UNIT' > /dev/null || true
    fi`, "UNIT", name))
		out["postrm"] += strings.ReplaceAll(`
if [ "$1" = purge ] && [ -x /usr/bin/deb-systemd-helper ]; then
    deb-systemd-helper purge 'UNIT' > /dev/null || true
fi
`, "UNIT", name)
	}
	for _, name := range u.user {
		out["postinst"] += fmt.Sprintf(configureOnly, strings.ReplaceAll(`if deb-systemd-helper --quiet --user was-enabled 'UNIT'; then
        deb-systemd-helper --user enable 'UNIT' > /dev/null || true
    fi
    deb-systemd-helper --user update-state 'UNIT' > /dev/null || true`, "UNIT", name))
		out["postrm"] += strings.ReplaceAll(`
if [ "$1" = purge ] && [ -x /usr/bin/deb-systemd-helper ]; then
    deb-systemd-helper --user purge 'UNIT' > /dev/null || true
fi
`, "UNIT", name)
	}
	start := slices.DeleteFunc(slices.Clone(u.system), func(n string) bool { return strings.Contains(n, "@.") })
	if len(start) > 0 {
		list := "'" + strings.Join(start, "' '") + "'"
		out["postinst"] += fmt.Sprintf(configureOnly, `if [ -d /run/systemd/system ]; then
        systemctl --system daemon-reload > /dev/null || true
        if [ -n "$2" ]; then action=restart; else action=start; fi
        deb-systemd-invoke "$action" `+list+` > /dev/null || true
    fi`)
		out["prerm"] += fmt.Sprintf("\nif [ -z \"${DPKG_ROOT:-}\" ] && [ \"$1\" = remove ] && [ -d /run/systemd/system ]; then\n    deb-systemd-invoke stop %s > /dev/null || true\nfi\n", list)
		out["postrm"] = "\nif [ \"$1\" = remove ] && [ -d /run/systemd/system ]; then\n    systemctl --system daemon-reload > /dev/null || true\nfi\n" + out["postrm"]
	}
	return out
}
