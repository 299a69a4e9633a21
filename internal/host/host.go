// Package host knows what n3x needs of the machine it runs on, and says what to type where something is missing.
//
// Input: the errors of [sandbox.Enter] and the kernel's own words in /proc and /sys, read below an injectable root so that a
// test can be any machine. Output: [*diag.Error] with a hint. It changes nothing and asks nobody.
//
// Facts: kernel Documentation/admin-guide/sysctl/{kernel,user}.rst, Debian's and Ubuntu's userns sysctls, subuid(5),
// newuidmap(1), user_namespaces(7), os-release(5).
package host

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Host is one machine. The zero Host is this one.
type Host struct {
	Root string // directory below which /proc, /etc and /usr are read; "" is "/"
}

func (h Host) path(p string) string { return filepath.Join("/", h.Root, p) }

// read is a small file's text without the white space around it, "" when it cannot be read.
func (h Host) read(p string) string {
	data, err := os.ReadFile(h.path(p))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// exists reports whether a file is there.
func (h Host) exists(p string) bool {
	_, err := os.Stat(h.path(p))
	return !errors.Is(err, os.ErrNotExist)
}

// status is a field of /proc/self/status, e.g. "NoNewPrivs" is "0".
func (h Host) status(field string) string {
	for line := range strings.Lines(h.read("/proc/self/status")) {
		if v, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// inChroot reports whether this process's "/" is not the root of a mount.
func (h Host) inChroot() bool {
	mounts := h.read("/proc/self/mountinfo")
	if mounts == "" {
		return false
	}
	for line := range strings.Lines(mounts) {
		if f := strings.Fields(line); len(f) > 4 && f[4] == "/" {
			return false
		}
	}
	return true
}

// container names the container engine around this process, "" when there is none or it does not show.
func (h Host) container() string {
	switch {
	case h.exists("/run/.containerenv"):
		return "podman"
	case h.exists("/.dockerenv"):
		return "docker"
	}
	return ""
}

// families are the distributions that this one is or is like, e.g. {"ubuntu", "debian"}.
func (h Host) families() []string {
	text := h.read("/etc/os-release")
	if text == "" {
		text = h.read("/usr/lib/os-release")
	}
	var id, like string
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch value = strings.Trim(value, `"'`); key {
		case "ID":
			id = value
		case "ID_LIKE":
			like = value
		}
	}
	return append([]string{id}, strings.Fields(like)...)
}

// installLine is what to type to get newuidmap.
func (h Host) installLine() string {
	lines := map[string]string{
		"debian": "sudo apt-get install uidmap", "ubuntu": "sudo apt-get install uidmap",
		"fedora": "sudo dnf install shadow-utils", "rhel": "sudo dnf install shadow-utils",
		"arch": "sudo pacman -S shadow", "suse": "sudo zypper install shadow", "opensuse": "sudo zypper install shadow",
		"alpine": "sudo apk add shadow-uidmap",
	}
	for _, f := range h.families() {
		if line := lines[f]; line != "" {
			return line
		}
	}
	return "install your distribution's package with newuidmap and newgidmap (Debian: uidmap, others: shadow or shadow-utils)"
}

// usermodLine is what to type to give user a range of sub-ids that nobody has.
func (h Host) usermodLine(user string) string {
	start := uint64(100000)
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		for line := range strings.Lines(h.read(file)) {
			f := strings.Split(strings.TrimSpace(line), ":")
			if len(f) != 3 {
				continue
			}
			first, err1 := strconv.ParseUint(f[1], 10, 32)
			count, err2 := strconv.ParseUint(f[2], 10, 32)
			if err1 == nil && err2 == nil {
				start = max(start, first+count)
			}
		}
	}
	span := strconv.FormatUint(start, 10) + "-" + strconv.FormatUint(start+65535, 10)
	return "sudo usermod --add-subuids " + span + " --add-subgids " + span + " " + user
}
