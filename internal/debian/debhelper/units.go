package debhelper

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// installTmpfiles is dh_installtmpfiles(1).
func (b *builder) installTmpfiles() error {
	text, found, err := b.optional(b.name + ".tmpfiles")
	if err != nil {
		return err
	}
	if found {
		if err := b.add("usr/lib/tmpfiles.d/"+b.name+".conf", 0o644, text); err != nil {
			return err
		}
	}
	var names []string
	for _, dir := range []string{"usr/lib/tmpfiles.d", "etc/tmpfiles.d"} {
		for _, name := range b.tree.below(dir) {
			if n := b.tree.nodes[name]; n.kind == directory || !strings.HasSuffix(name, ".conf") {
				continue
			} else if n.kind == symlink {
				return beyond("%s is a symbolic link", name)
			}
			names = append(names, path.Base(name))
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return b.addScript("postinst", "dh_installtmpfiles", "postinst-init-tmpfiles", false, "TMPFILES", strings.Join(slices.Compact(names), " "))
}

var (
	installSection = regexp.MustCompile(`(?i)^\s*\[Install\]$`)
	unitTypes      = []string{"service", "target", "socket", "path", "timer"}
)

// unit is what debhelper looks for in a unit's text.
type unit struct {
	install bool
	also    []string
}

func parseUnit(text string) unit {
	var u unit
	for line := range strings.SplitSeq(text, "\n") {
		u.install = u.install || installSection.MatchString(line)
		line = strings.TrimLeft(line, " \t")
		if len(line) < 5 || !strings.EqualFold(line[:5], "also=") || line[5:] == "" {
			continue
		}
		for word := range strings.FieldsSeq(line[5:]) {
			if n := len(word); n >= 2 && (word[0] == '"' || word[0] == '\'') && word[n-1] == word[0] {
				word = word[1 : n-1]
			}
			u.also = append(u.also, word)
		}
	}
	return u
}

// installSystemd is dh_installsystemd(1): NAME.service and its like are installed; all units with an [Install] section
// are enabled, and all but templates started.
func (b *builder) installSystemd() error {
	for _, t := range append(slices.Clone(unitTypes), "mount") {
		for _, at := range []string{"", "@"} {
			if at == "@" && t == "mount" {
				continue
			}
			if err := b.installUnit(b.name+at+"."+t, b.like.unitDirs[0]+"/"+b.name+at+"."+t); err != nil {
				return err
			}
		}
	}
	enable, start, err := b.units(b.like.unitDirs)
	if err != nil {
		return err
	}
	for _, u := range enable {
		if err := b.addScript("postinst", "dh_installsystemd", "postinst-systemd-enable", true, "UNITFILE", u); err != nil {
			return err
		}
	}
	if len(enable) > 0 {
		if err := b.addScript("postrm", "dh_installsystemd", "postrm-systemd", false, "UNITFILES", strings.Join(enable, " ")); err != nil {
			return err
		}
	}
	if len(start) == 0 {
		return nil
	}
	list := strings.Join(start, " ")
	if err := b.addScript("postinst", "dh_installsystemd", "postinst-systemd-restart", true, "UNITFILES", list, "RESTART_ACTION", "restart"); err != nil {
		return err
	}
	if err := b.addScript("prerm", "dh_installsystemd", "prerm-systemd-restart", true, "UNITFILES", list); err != nil {
		return err
	}
	return b.addScript("postrm", "dh_installsystemd", "postrm-systemd-reload-only", false, "UNITFILES", list)
}

func (b *builder) installUnit(source, target string) error {
	text, found, err := b.optional(source)
	if err != nil || !found {
		return err
	}
	return b.add(target, 0o644, text)
}

// installSystemdUser is dh_installsystemduser(1): the same for units of users' sessions, which it enables only.
func (b *builder) installSystemdUser() error {
	const dir = "usr/lib/systemd/user"
	for _, t := range unitTypes {
		for _, at := range []string{"", "@"} {
			if err := b.installUnit(b.name+at+".user."+t, dir+"/"+b.name+at+"."+t); err != nil {
				return err
			}
		}
	}
	enable, _, err := b.units([]string{dir})
	if err != nil || len(enable) == 0 {
		return err
	}
	for _, u := range enable {
		if err := b.addScript("postinst", "dh_installsystemduser", "postinst-systemd-user-enable", false, "UNITFILE", u); err != nil {
			return err
		}
	}
	return b.addScript("postrm", "dh_installsystemduser", "postrm-systemd-user", false, "UNITFILES", strings.Join(enable, " "))
}

// units are the units in folders, quoted for a shell: those to enable and those to start. What a unit names in Also=
// must be there.
func (b *builder) units(dirs []string) (enable, start []string, err error) {
	var queue []string
	for _, dir := range dirs {
		for _, name := range b.tree.files(dir) {
			if path.Dir(name) == dir {
				queue = append(queue, path.Base(name))
			}
		}
	}
	toEnable, toStart := map[string]bool{}, map[string]bool{}
	seen := map[string]bool{}
	for ; len(queue) > 0; queue = queue[1:] {
		name := queue[0]
		var file *node
		for _, dir := range dirs {
			if n := b.tree.nodes[dir+"/"+name]; n != nil && n.kind == regular {
				file = n
				break
			} else if n != nil && n.kind == symlink {
				return nil, nil, beyond("Also= names %s, which is a symbolic link", name)
			}
		}
		if file == nil {
			return nil, nil, fmt.Errorf("the unit %s is named in Also= but the package does not have it", name)
		}
		if strings.Contains(name, "@") {
			continue
		}
		text, err := file.read()
		if err != nil {
			return nil, nil, err
		}
		u := parseUnit(string(text))
		for _, also := range u.also {
			if !seen[also] {
				seen[also] = true
				queue = append(queue, also)
			}
		}
		toStart[name] = true
		if u.install {
			toEnable[name] = true
		}
	}
	return quoted(toEnable), quoted(toStart), nil
}

func quoted(set map[string]bool) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(set)) {
		out = append(out, "'"+name+"'")
	}
	return out
}
