package host

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Memory is what can still be used.
type Memory struct {
	Free int64  // bytes
	By   string // what sets the limit, in words
}

// Memory tells how much memory processes of this program's control group can still take: the host's (MemAvailable of proc(5)), or what a
// limit of the group, or of one above it, leaves (Documentation/admin-guide/cgroup-v2.rst, and v1's memory.rst). A file cache that the
// kernel can drop counts as free.
func (h Host) Memory() (Memory, error) {
	m := Memory{By: "the host"}
	var err error
	if m.Free, err = h.field("proc/meminfo", "MemAvailable:"); err != nil {
		return Memory{}, err
	}
	m.Free <<= 10
	groups, err := os.ReadFile(h.path("proc/self/cgroup"))
	if err != nil {
		return m, nil // a kernel without control groups limits nothing
	}
	for _, line := range strings.Split(string(groups), "\n") {
		parts := strings.SplitN(line, ":", 3)
		switch {
		case len(parts) != 3:
		case parts[1] == "":
			m = h.limited(m, "sys/fs/cgroup", parts[2], "memory.max", "memory.current", "inactive_file")
		case strings.Contains(","+parts[1]+",", ",memory,"):
			m = h.limited(m, "sys/fs/cgroup/memory", parts[2], "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
		}
	}
	return m, nil
}

// limited looks at a group and all above it. In a container the group's path may be the host's; the root of what is mounted is then its own.
func (h Host) limited(m Memory, mount, group, limit, usage, cache string) Memory {
	for at := filepath.Clean("/" + group); ; at = filepath.Dir(at) {
		dir := filepath.Join(mount, at)
		most, err1 := h.number(filepath.Join(dir, limit))
		used, err2 := h.number(filepath.Join(dir, usage))
		if err1 == nil && err2 == nil {
			if c, err := h.field(filepath.Join(dir, "memory.stat"), cache); err == nil {
				used -= c
			}
			if free := max(most-used, 0); free < m.Free {
				m = Memory{free, "the limit of control group " + at}
			}
		}
		if at == "/" {
			return m
		}
	}
}

// number reads a file with one number; "max" is none.
func (h Host) number(name string) (int64, error) {
	data, err := os.ReadFile(h.path(name))
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
}

// field reads the number behind a word at the beginning of a line.
func (h Host) field(name, word string) (int64, error) {
	f, err := os.Open(h.path(name))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if w := strings.Fields(lines.Text()); len(w) > 1 && w[0] == word {
			return strconv.ParseInt(w[1], 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", h.path(name), word)
}
