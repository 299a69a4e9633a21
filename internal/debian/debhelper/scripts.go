package debhelper

import (
	"regexp"
	"strings"
)

// script is what debhelper's commands add to one maintainer script. Pieces that start services come last, or first
// when the script takes things away.
type script struct{ general, service string }

// maintainerScripts in the order in which dh_installdeb(1) makes them.
var maintainerScripts = []string{"postinst", "preinst", "prerm", "postrm"}

// addScript is autoscript of debhelper: the piece with its #KEY#s filled in, between lines that say who added it.
// What takes things away runs in reverse order, so there each piece goes to the front.
func (b *builder) addScript(name, command, piece string, service bool, values ...string) error {
	text, err := b.Release.snippet(piece)
	if err != nil {
		return err
	}
	for i := 0; i < len(values); i += 2 {
		text = strings.ReplaceAll(text, "#"+values[i]+"#", values[i+1])
	}
	text = "# Automatically added by " + command + "/" + b.Release.Version + "\n" + text + "# End automatically added section\n"
	s := b.scripts[name]
	if s == nil {
		s = &script{}
		b.scripts[name] = s
	}
	to := &s.general
	if service {
		to = &s.service
	}
	if name == "prerm" || name == "postrm" {
		*to = text + *to
	} else {
		*to += text
	}
	return nil
}

func (s *script) text(name string) string {
	switch {
	case s == nil:
		return ""
	case name == "prerm" || name == "postrm":
		return s.service + s.general
	}
	return s.general + s.service
}

var (
	token     = regexp.MustCompile(`#([A-Za-z0-9_.+]+)#`)
	realToken = regexp.MustCompile(`^(DEB_(BUILD|HOST|TARGET)_|ENV\.)`)
)

// maintainerScript is the package's own script with #DEBHELPER# and #PACKAGE# filled in, or one of what was added.
func (b *builder) maintainerScript(name string) ([]byte, error) {
	own, found, err := b.optional(b.name + "." + name)
	if err == nil && !found {
		own, found, err = b.optional(name)
	}
	if err != nil {
		return nil, err
	}
	added := b.scripts[name].text(name)
	if !found {
		if added == "" {
			return nil, nil
		}
		return []byte("#!/bin/sh\nset -e\n" + added), nil
	}
	lines := strings.SplitAfter(string(own), "\n")
	for i, line := range lines {
		for _, m := range token.FindAllStringSubmatch(line, -1) {
			if realToken.MatchString(m[1]) {
				return nil, beyond("%s has the token %s", name, m[0])
			}
		}
		lines[i] = token.ReplaceAllStringFunc(line, func(t string) string {
			switch t {
			case "#DEBHELPER#":
				return added
			case "#PACKAGE#":
				return b.name
			}
			return t
		})
	}
	return []byte(strings.Join(lines, "")), nil
}
