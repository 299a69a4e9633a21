package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"n3x/internal/diag"
	"n3x/internal/sandbox"
)

// machine is a host made of files.
func machine(t *testing.T, files map[string]string) Host {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Host{Root: root}
}

const realRoot = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n22 27 0:21 / /proc rw - proc proc rw\n"

func TestExplain(t *testing.T) {
	t.Parallel()
	refused := &sandbox.EnterError{Reason: sandbox.Refused, Op: "create a user namespace", Err: errors.New("operation not permitted")}
	mapRefused := &sandbox.EnterError{Reason: sandbox.MapRefused, Op: "map ids", User: "ada", File: "/usr/bin/newuidmap", Detail: "newuidmap: write to uid_map failed", Err: errors.New("exit status 1")}
	for name, test := range map[string]struct {
		files      map[string]string
		err        *sandbox.EnterError
		text, hint string // parts of them
	}{
		"Debian without uidmap": {
			map[string]string{"/etc/os-release": "PRETTY_NAME=\"Debian\"\nID=debian\n"},
			&sandbox.EnterError{Reason: sandbox.NoHelper, File: "newuidmap", Err: os.ErrNotExist},
			"newuidmap is not installed", "sudo apt-get install uidmap"},
		"Rocky without newgidmap": {
			map[string]string{"/etc/os-release": "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"},
			&sandbox.EnterError{Reason: sandbox.NoHelper, File: "newgidmap", Err: os.ErrNotExist},
			"newgidmap is not installed", "sudo dnf install shadow-utils"},
		"Tumbleweed, os-release in /usr/lib": {
			map[string]string{"/usr/lib/os-release": "ID=\"opensuse-tumbleweed\"\nID_LIKE='opensuse suse'\n"},
			&sandbox.EnterError{Reason: sandbox.NoHelper, File: "newuidmap", Err: os.ErrNotExist},
			"newuidmap", "sudo zypper install shadow"},
		"unknown distribution": {
			nil, &sandbox.EnterError{Reason: sandbox.NoHelper, File: "newuidmap", Err: os.ErrNotExist},
			"newuidmap", "install your distribution's package"},
		"no range, nobody has one": {
			nil, &sandbox.EnterError{Reason: sandbox.NoSubIDs, User: "ada", File: "/etc/subuid", Err: errors.New("none")},
			"user ada has no range of sub-ids in /etc/subuid", "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ada"},
		"no range, others have some": {
			map[string]string{"/etc/subuid": "bob:100000:65536\nbroken\nx:y:z\n", "/etc/subgid": "bob:100000:65536\neve:165536:65536\n"},
			&sandbox.EnterError{Reason: sandbox.NoSubIDs, User: "ada", File: "/etc/subgid", Err: errors.New("none")},
			"/etc/subgid", "--add-subuids 231072-296607 --add-subgids 231072-296607 ada"},
		"small range": {
			map[string]string{"/etc/subuid": "ada:100000:1000\n"},
			&sandbox.EnterError{Reason: sandbox.FewSubIDs, User: "ada", File: "/etc/subuid", Count: 1000, Err: errors.New("few")},
			"user ada has only 1000 sub-ids in /etc/subuid, 65535 are needed", "--add-subuids 101000-166535"},
		"container with one id": {
			nil, &sandbox.EnterError{Reason: sandbox.FewSubIDs, User: "root", File: "/proc/self/uid_map", Count: 1, Err: errors.New("few")},
			"only 1 user or group ids exist here", "give the container more ids"},
		"max_user_namespaces": {
			map[string]string{"/proc/sys/user/max_user_namespaces": "0\n"},
			&sandbox.EnterError{Reason: sandbox.Exhausted, Op: "x", Err: errors.New("no space")},
			"user.max_user_namespaces = 0", "echo user.max_user_namespaces=65536 | sudo tee /etc/sysctl.d/60-n3x.conf && sudo sysctl -p"},
		"too many namespaces": {
			map[string]string{"/proc/sys/user/max_user_namespaces": "100\n"},
			&sandbox.EnterError{Reason: sandbox.Exhausted, Op: "x", Err: errors.New("no space")},
			"no more user namespaces", "user.max_user_namespaces=65536"},
		"kernel without": {
			map[string]string{"/proc/sys/kernel/osrelease": "6.1.0-tiny\n"},
			&sandbox.EnterError{Reason: sandbox.Unsupported, Op: "x", Err: errors.New("invalid")},
			"this kernel (6.1.0-tiny) has no user namespaces", "CONFIG_USER_NS=y"},
		"old Debian": {
			map[string]string{"/proc/sys/kernel/unprivileged_userns_clone": "0\n"}, refused,
			"kernel.unprivileged_userns_clone = 0", "echo kernel.unprivileged_userns_clone=1 |"},
		"Ubuntu 24.04": {
			map[string]string{"/proc/sys/kernel/unprivileged_userns_clone": "1\n", "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n"},
			&sandbox.EnterError{Reason: sandbox.Refused, Op: "make the mounts private", Err: errors.New("permission denied")},
			"AppArmor forbids", "echo kernel.apparmor_restrict_unprivileged_userns=0 |"},
		"chroot": {
			map[string]string{"/proc/self/mountinfo": "22 27 0:21 / /proc rw - proc proc rw\n"}, refused,
			"inside a chroot", "systemd-nspawn"},
		"docker": {
			map[string]string{"/proc/self/mountinfo": realRoot, "/.dockerenv": "", "/proc/self/status": "Seccomp:\t2\n"}, refused,
			"this docker container forbids", "docker run --security-opt seccomp=unconfined"},
		"podman": {
			map[string]string{"/proc/self/mountinfo": realRoot, "/run/.containerenv": ""}, refused,
			"this podman container forbids", "podman run"},
		"service": {
			map[string]string{"/proc/self/mountinfo": realRoot, "/proc/self/status": "Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t3\n"}, refused,
			"a seccomp filter", "RestrictNamespaces=no"},
		"who knows": {
			map[string]string{"/proc/self/mountinfo": realRoot, "/proc/self/status": "Seccomp:\t0\n"}, refused,
			"the kernel refused a user namespace", "dmesg"},
		"no new privileges": {
			map[string]string{"/proc/self/status": "NoNewPrivs:\t1\n", "/usr/bin/newuidmap": ""}, mapRefused,
			"/usr/bin/newuidmap did not map", "NoNewPrivileges="},
		"set-uid bit lost": {
			map[string]string{"/proc/self/status": "NoNewPrivs:\t0\n", "/usr/bin/newuidmap": ""}, mapRefused,
			"/usr/bin/newuidmap did not map", "sudo chmod u+s /usr/bin/newuidmap"},
		"range of another": {
			nil, &sandbox.EnterError{Reason: sandbox.MapRefused, User: "ada", File: "/usr/bin/newuidmap", Detail: "newuidmap: uid range [1-65537) -> [100000-165536) not allowed", Err: errors.New("exit status 1")},
			"did not map", "--add-subuids 100000-165535"},
		"nosuid": {nil, mapRefused, "did not map", "nosuid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := machine(t, test.files).Explain(fmt.Errorf("enter: %w", test.err))
			var d *diag.Error
			if !errors.As(err, &d) {
				t.Fatalf("got %#v", err)
			}
			if !strings.Contains(d.Text, test.text) || !strings.Contains(d.Hint, test.hint) {
				t.Errorf("text %q\nhint %q\nwant %q\nand  %q", d.Text, d.Hint, test.text, test.hint)
			}
			if diag.Status(err) != 2 || !errors.Is(err, test.err) {
				t.Errorf("status %d, cause %v", diag.Status(err), d.Err)
			}
		})
	}
}

func TestExplainOthers(t *testing.T) {
	t.Parallel()
	if err := (Host{}).Explain(nil); err != nil {
		t.Errorf("nil gives %v", err)
	}
	other := errors.New("other")
	if err := (Host{}).Explain(other); err != other {
		t.Errorf("got %v", err)
	}
}

func TestCheckMachine(t *testing.T) {
	t.Parallel()
	for release, want := range map[string]string{
		"6.1.0-30-amd64": "", "5.12": "", "5.15.167.4-microsoft-standard-WSL2": "", "10.0.1": "", "": "",
		"5.10.0-33-amd64":       "Linux 5.10.0-33-amd64 is too old: n3x needs 5.12 or newer",
		"4.19.0":                "Linux 4.19.0 is too old: n3x needs 5.12 or newer",
		"4.4.0-19041-Microsoft": "this is WSL 1, which has no Linux kernel (4.4.0-19041-Microsoft)",
	} {
		err := machine(t, map[string]string{"/proc/sys/kernel/osrelease": release + "\n"}).checkMachine()
		if got := fmt.Sprint(err); (want == "") != (err == nil) || (err != nil && got != want) {
			t.Errorf("%s: %v, want %q", release, err, want)
		}
	}
}

func TestOlder(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"2.39.5", minGit, false}, {"2.20.0", minGit, false}, {"2.19.9", minGit, true}, {"2.9", minGit, true},
		{"2.47.1.windows.1", minGit, false}, {"2.39.5 (Apple Git-154)", minGit, false}, {"3.0.rc1", minGit, false}, {"junk", minGit, true},
	} {
		if got := older(test.a, test.b); got != test.want {
			t.Errorf("older(%q, %q) = %v", test.a, test.b, got)
		}
	}
}

func TestPreflight(t *testing.T) {
	warnings, err := Host{}.Preflight(t.Context(), Needs{Git: true, Dirs: []string{filepath.Join(t.TempDir(), "not", "there", "yet")}})
	if err != nil {
		t.Errorf("this machine: %v", err)
	}
	for _, w := range warnings { // a nearly full disk is possible
		if w.Hint == "" {
			t.Errorf("warning without hint: %v", w)
		}
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := (Host{}).Preflight(t.Context(), Needs{Git: true}); err == nil || !strings.Contains(err.Error(), "git is not installed") {
		t.Errorf("without git: %v", err)
	}
	if _, err := (Host{}).Preflight(t.Context(), Needs{}); err != nil {
		t.Errorf("without need of git: %v", err)
	}
}

func TestCheckSpace(t *testing.T) {
	t.Parallel()
	if w := checkSpace("/proc/self"); w == nil || !strings.Contains(w.Text, "only 0.0 GB are free for /proc/self") {
		t.Errorf("got %v", w) // a filesystem without any space
	}
	if w := checkSpace("/dev/null/x"); w != nil {
		t.Errorf("got %v", w)
	}
}
