package rootfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"n3x/internal/diag"
)

// forgetExcluded takes the files that Exclude kept out of the root filesystem out of dpkg's lists, where dpkg leaves them:
// `dpkg -V` would call each of them missing.
func (i *installer) forgetExcluded() error {
	excluded, err := patterns(i.o.Exclude)
	if err != nil || excluded == nil {
		return err
	}
	stack := i.draft.Stack()
	for _, d := range i.o.Install {
		gone := make(map[string]bool)
		err := i.filterInfo(d, ".list", func(line string) bool {
			if !excluded.MatchString(line) {
				return true
			}
			_, err := stack.Lstat(line)
			gone[line] = errors.Is(err, fs.ErrNotExist)
			return !gone[line]
		})
		if err != nil {
			return err
		}
		err = i.filterInfo(d, ".md5sums", func(line string) bool {
			_, name, _ := strings.Cut(line, "  ")
			return !gone["/"+name]
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// filterInfo keeps of one of dpkg's files about a package the lines that keep wants.
func (i *installer) filterInfo(d Deb, suffix string, keep func(line string) bool) error {
	p := i.infoFile(d, suffix)
	text, err := os.ReadFile(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // md5sums are optional
	}
	if err != nil {
		return err
	}
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		if keep(strings.TrimSuffix(line, "\n")) {
			b.WriteString(line)
		}
	}
	if b.Len() == len(text) {
		return nil
	}
	return os.WriteFile(p, []byte(b.String()), 0o644)
}

// infoFile is the path of one of dpkg's files about a package. Its name has the architecture if the package may be installed
// for several at once.
func (i *installer) infoFile(d Deb, suffix string) string {
	base := filepath.Join(i.draft.Root, "var/lib/dpkg/info", d.Name)
	if p := base + ":" + d.Architecture + suffix; exists(p) {
		return p
	}
	return base + suffix
}

func exists(p string) bool {
	_, err := os.Lstat(p)
	return err == nil
}

// patterns is one expression for what any of dpkg's path patterns matches: those of glob(7), whose "*" and "?" match "/" too.
// It is nil when there are none.
func patterns(globs []string) (*regexp.Regexp, error) {
	if len(globs) == 0 {
		return nil, nil
	}
	all := make([]string, len(globs))
	for n, glob := range globs {
		var b strings.Builder
		for rest := glob; rest != ""; {
			part, size := globPart(rest)
			b.WriteString(part)
			rest = rest[size:]
		}
		all[n] = b.String()
	}
	re, err := regexp.Compile(`(?s)\A(?:` + strings.Join(all, "|") + `)\z`)
	if err != nil {
		return nil, diag.Userf(diag.Pos{}, "exclude files by %q: %w", globs, err)
	}
	return re, nil
}

// filter is dpkg's answer to whether a file of a package, like "usr/share/doc/x", is left out: inclusions have the last word.
func filter(exclude, include []string) (excluded func(name string) bool, err error) {
	out, err := patterns(exclude)
	if err != nil || out == nil {
		return nil, err
	}
	in, err := patterns(include)
	if err != nil {
		return nil, err
	}
	return func(name string) bool {
		return out.MatchString("/"+name) && (in == nil || !in.MatchString("/"+name))
	}, nil
}

// globPart translates the first part of a pattern, which has the given size.
func globPart(rest string) (part string, size int) {
	switch rest[0] {
	case '*':
		return ".*", 1
	case '?':
		return ".", 1
	case '\\':
		if len(rest) > 1 {
			return regexp.QuoteMeta(rest[1:2]), 2
		}
	case '[':
		// The first member may be "]".
		if end := strings.IndexByte(rest[min(2, len(rest)):], ']'); end >= 0 {
			set := rest[1 : end+2]
			if strings.HasPrefix(set, "!") {
				set = "^" + set[1:]
			}
			return "[" + strings.ReplaceAll(set, `\`, `\\`) + "]", end + 3
		}
	}
	return regexp.QuoteMeta(rest[:1]), 1
}
