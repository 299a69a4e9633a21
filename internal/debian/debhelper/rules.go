package debhelper

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// rules is what debian/rules asks of debhelper.
type rules struct {
	skipped   map[string]bool // commands that an empty override leaves out
	exclude   []string        // dh_fixperms -X
	fromImage bool            // dh_install --sourcedir=image
}

// skippable are the commands that may be left out; all others are needed, or change what the rest does.
var skippable = []string{"dh_auto_build", "dh_auto_clean", "dh_auto_configure", "dh_auto_install", "dh_auto_test", "dh_compress", "dh_dwz", "dh_fixperms",
	"dh_icons", "dh_installchangelogs", "dh_installdocs", "dh_installinit", "dh_installinitramfs", "dh_installman", "dh_installmodules", "dh_installsystemd",
	"dh_installsystemduser", "dh_installtmpfiles", "dh_link", "dh_makeshlibs", "dh_missing", "dh_perl", "dh_shlibdeps", "dh_strip", "dh_strip_nondeterminism",
	"dh_update_autotools_config", "dh_usrlocal"}

var (
	overrideTarget = regexp.MustCompile(`^override_(dh_[a-z_]+)$`)
	plainWord      = regexp.MustCompile(`^[A-Za-z0-9_./@%,:=~-]+$`)
	verboseLine    = regexp.MustCompile(`^\s*(export\s+)?DH_(VERBOSE|QUIET)\s*[:?]?=\s*\d*$`)
)

// parseRules reads the makefiles that deb_debianize writes, and those that also leave out commands. Others are beyond.
func parseRules(text string) (*rules, error) {
	r := &rules{skipped: map[string]bool{}}
	lines := strings.Split(text, "\n")
	if !strings.HasPrefix(lines[0], "#!") || !strings.HasSuffix(strings.TrimSpace(lines[0]), "make -f") {
		return nil, beyond("debian/rules is no makefile that begins with #!/usr/bin/make -f")
	}
	generic := false
	for i := 1; i < len(lines); i++ {
		line := strings.TrimRight(lines[i], " \r")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") || verboseLine.MatchString(line) {
			continue
		}
		targets, ok := strings.CutSuffix(line, ":")
		if !ok || strings.HasPrefix(line, "\t") {
			return nil, beyond("debian/rules has the line %q", line)
		}
		var recipe []string
		for i+1 < len(lines) && strings.HasPrefix(lines[i+1], "\t") {
			i++
			if cmd := strings.TrimSpace(lines[i]); cmd != "" && !strings.HasPrefix(cmd, "#") {
				recipe = append(recipe, cmd)
			}
		}
		if targets == "%" {
			if len(recipe) != 1 || !callsDh(recipe[0]) {
				return nil, beyond("debian/rules does not just call dh: %q", recipe)
			}
			generic = true
			continue
		}
		if err := r.override(targets, recipe); err != nil {
			return nil, err
		}
	}
	if !generic {
		return nil, beyond("debian/rules does not call dh")
	}
	return r, nil
}

// callsDh says whether a line of a makefile is "dh $@". One that was copied out of a shell document has "\$@", and the
// shell that make starts drops the backslash.
func callsDh(line string) bool {
	words := strings.Fields(line)
	return len(words) == 2 && words[0] == "dh" && strings.TrimPrefix(words[1], `\`) == "$@"
}

func (r *rules) override(targets string, recipe []string) error {
	for _, target := range strings.Fields(targets) {
		m := overrideTarget.FindStringSubmatch(target)
		switch {
		case m == nil:
			return beyond("debian/rules has the target %s", target)
		case doesNothing(recipe) && slices.Contains(skippable, m[1]):
			r.skipped[m[1]] = true
			continue
		case len(recipe) != 1:
			return beyond("debian/rules overrides %s", m[1])
		}
		words := strings.Fields(recipe[0])
		switch {
		case m[1] == "dh_install" && slices.Equal(words, []string{"dh_install", "--sourcedir=image"}):
			r.fromImage = true
		case m[1] == "dh_fixperms" && words[0] == "dh_fixperms":
			if err := r.fixperms(words[1:]); err != nil {
				return err
			}
		default:
			return beyond("debian/rules overrides %s with %q", m[1], recipe[0])
		}
	}
	return nil
}

func doesNothing(recipe []string) bool {
	return !slices.ContainsFunc(recipe, func(line string) bool { return line != "true" && line != ":" })
}

func (r *rules) fixperms(args []string) error {
	for i := 0; i < len(args); i++ {
		pattern, ok := strings.CutPrefix(args[i], "-X")
		if pattern == "" && ok && i+1 < len(args) {
			i++
			pattern = args[i]
		}
		if !ok || !plainWord.MatchString(pattern) {
			return beyond("debian/rules calls dh_fixperms with %q", args)
		}
		r.exclude = append(r.exclude, pattern)
	}
	return nil
}

// excluded tells whether -X keeps dh_fixperms from a file: an item is a part of its path below the source tree.
func (r *rules) excluded(pkg, name string) bool {
	path := "debian/" + pkg + "/" + name
	return slices.ContainsFunc(r.exclude, func(x string) bool { return strings.Contains(path, x) })
}

// namesIn lists a folder of the tree, nothing when it is not there.
func namesIn(root, dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(root, dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []string
	for _, e := range entries {
		out = append(out, path.Base(e.Name()))
	}
	return out, err
}
