package sandbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// idRange maps Count ids from Inside to Outside, one line of /proc/PID/uid_map.
type idRange struct{ Inside, Outside, Count int }

const (
	userIDs = 65535 // what an ordinary user needs besides the own id, so that 0..65535 exist
	rootIDs = 1000  // what root needs, e.g. in a container: Debian's static and system ids
)

// helper is newuidmap or newgidmap with what it has to write.
type helper struct {
	user    string // for messages
	program string
	ranges  []idRange
}

// helpers finds the two programs and the ranges of the calling user; the errors are what people meet first on a new machine.
func helpers() ([]helper, error) {
	name, keys := callingUser()
	own := []int{os.Getuid(), os.Getgid()}
	var found []helper
	for i, program := range []string{"newuidmap", "newgidmap"} {
		path, err := lookHelper(program)
		if err != nil {
			return nil, &EnterError{Reason: NoHelper, Op: "find " + program, User: name, File: program, Err: err}
		}
		file := []string{"/etc/subuid", "/etc/subgid"}[i]
		ranges, err := readSubIDs(file, keys)
		if err != nil {
			return nil, &EnterError{Reason: NoSubIDs, Op: "read the sub-id ranges of " + name, User: name, File: file, Err: err}
		}
		next := 1
		for j := range ranges {
			ranges[j].Inside = next
			next += ranges[j].Count
		}
		if len(ranges) == 0 {
			return nil, &EnterError{Reason: NoSubIDs, Op: "find a sub-id range of " + name, User: name, File: file, Err: errors.New("none in " + file)}
		}
		if next-1 < userIDs {
			return nil, &EnterError{Reason: FewSubIDs, Op: "map ids", User: name, File: file, Count: next - 1,
				Err: fmt.Errorf("%s gives %s %d ids, %d are needed", file, name, next-1, userIDs)}
		}
		found = append(found, helper{name, path, append([]idRange{{0, own[i], 1}}, ranges...)})
	}
	return found, nil
}

// callingUser is the user's name for messages and the keys under which subuid(5) may list it.
func callingUser() (name string, keys []string) {
	uid := strconv.Itoa(os.Getuid())
	name = uid
	if u, err := user.LookupId(uid); err == nil && u.Username != "" {
		name = u.Username
	} else if n := os.Getenv("USER"); n != "" { // a user of LDAP is in no file
		name = n
	}
	return name, []string{name, uid}
}

func lookHelper(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/bin/", "/bin/", "/usr/sbin/", "/usr/local/bin/"} {
		if p, e := exec.LookPath(dir + program); e == nil {
			return p, nil
		}
	}
	return "", err
}

// readSubIDs reads the ranges of one user from /etc/subuid or /etc/subgid; a missing file is an empty one.
func readSubIDs(file string, keys []string) ([]idRange, error) {
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return parseSubIDs(data, keys), nil
}

// parseSubIDs skips lines that are not "key:start:count", as shadow's programs do.
func parseSubIDs(data []byte, keys []string) []idRange {
	var ranges []idRange
	for line := range strings.Lines(string(data)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 3 || (f[0] != keys[0] && f[0] != keys[1]) {
			continue
		}
		start, err1 := strconv.ParseUint(f[1], 10, 32)
		count, err2 := strconv.ParseUint(f[2], 10, 32)
		if err1 != nil || err2 != nil || count == 0 || start+count > 1<<32-1 {
			continue
		}
		ranges = append(ranges, idRange{Outside: int(start), Count: int(count)})
	}
	return ranges
}

// write lets the helper program write the map of process pid.
func (h helper) write(pid int) error {
	args := []string{strconv.Itoa(pid)}
	for _, r := range h.ranges {
		args = append(args, strconv.Itoa(r.Inside), strconv.Itoa(r.Outside), strconv.Itoa(r.Count))
	}
	out, err := exec.Command(h.program, args...).CombinedOutput()
	if err == nil {
		return nil
	}
	return &EnterError{Reason: MapRefused, Op: "map ids with " + h.program, User: h.user, File: h.program, Detail: string(bytes.TrimSpace(out)), Err: err}
}

// ownRanges are the ids that exist in this process's own user namespace, mapped to themselves.
func ownRanges(file string) ([]syscall.SysProcIDMap, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, &EnterError{Reason: Unsupported, Op: "read " + file, File: file, Err: err}
	}
	var ranges []syscall.SysProcIDMap
	low := 0 // ids 0..low-1 exist
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		var r idRange
		if _, err := fmt.Sscan(s.Text(), &r.Inside, &r.Outside, &r.Count); err != nil {
			continue
		}
		ranges = append(ranges, syscall.SysProcIDMap{ContainerID: r.Inside, HostID: r.Inside, Size: r.Count})
		if r.Inside == low {
			low += r.Count
		}
	}
	if low < rootIDs {
		return nil, &EnterError{Reason: FewSubIDs, Op: "map ids", User: "root", File: file, Count: low,
			Err: fmt.Errorf("only %d ids exist in this container, %d are needed", low, rootIDs)}
	}
	return ranges, nil
}

// maySetGroups reports whether setgroups(2) is allowed in this user namespace.
func maySetGroups() bool {
	data, err := os.ReadFile("/proc/self/setgroups")
	return err != nil || strings.TrimSpace(string(data)) == "allow"
}
