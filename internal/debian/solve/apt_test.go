package solve

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"n3x/internal/debian"
	"n3x/internal/sandbox"
)

// aptTree is a Debian tree with apt in it. run starts a program there as root and returns its output, standard error
// included, and its exit status.
type aptTree struct {
	dir string
	run func(ctx context.Context, argv ...string) (output string, status int, err error)
}

func TestMain(m *testing.M) {
	sandbox.Main()
	if os.Getenv("N3X_TEST_NETWORK") != "" { // for the tree with apt
		inside, status, err := sandbox.Enter()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if !inside {
			os.Exit(status)
		}
	}
	os.Exit(m.Run())
}

// realApt is the tree in which the live tests ask apt: one that n3x makes of trixie, with what the test writes on top.
func realApt(t testing.TB) aptTree {
	t.Helper()
	if os.Getenv("N3X_TEST_NETWORK") == "" {
		t.Skip("set N3X_TEST_NETWORK=1 to compare with a real apt")
	}
	out, err := exec.Command("go", "run", "./testdata/tree").Output()
	if err != nil {
		t.Fatalf("make a tree with apt: %v", err)
	}
	dirs := map[string]string{}
	for _, name := range []string{"root", "upper"} {
		dirs[name] = filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(dirs[name], 0o755); err != nil {
			t.Fatal(err)
		}
	}
	work := filepath.Join(filepath.Dir(dirs["upper"]), "work") // on the same file system as upper
	if err := os.MkdirAll(work, 0o755); err != nil {
		t.Fatal(err)
	}
	mount := sandbox.Mount{Type: sandbox.Overlay, Target: dirs["root"], Lower: []string{strings.TrimSpace(string(out))}, Upper: dirs["upper"], Work: work}
	if err := sandbox.MountOverlay(mount); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dirs["root"], unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
		for _, dir := range []string{dirs["upper"], work} {
			if err := sandbox.Remove(dir); err != nil {
				t.Error(err)
			}
		}
	})
	return aptTree{dir: dirs["root"], run: func(ctx context.Context, argv ...string) (string, int, error) {
		var out bytes.Buffer
		cmd := &sandbox.Cmd{Argv: argv, Root: dirs["root"], Mounts: sandbox.System(), Stdout: &out, Stderr: &out,
			Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}}
		err := cmd.Run(ctx)
		if exit := new(sandbox.ExitError); errors.As(err, &exit) {
			return out.String(), exit.Status, nil
		}
		return out.String(), 0, err
	}}
}

// aptSetup is one configuration of apt inside a tree: indices, installed packages, architectures.
type aptSetup struct {
	tree    aptTree
	dir     string // inside the tree
	options []string
}

// newAptSetup gives apt exactly the packages of r, each index as a repository of its own.
func newAptSetup(t testing.TB, tree aptTree, r Request) *aptSetup {
	t.Helper()
	var status bytes.Buffer
	writePackages(&status, r.Installed, true)
	auto := make([]string, 0, len(r.Auto))
	for name, is := range r.Auto {
		if is {
			auto = append(auto, name)
		}
	}
	slices.Sort(auto)
	var extended strings.Builder
	for _, a := range auto {
		name, arch, _ := strings.Cut(a, ":")
		fmt.Fprintf(&extended, "Package: %s\nArchitecture: %s\nAuto-Installed: 1\n\n", name, arch)
	}
	files := map[string]string{"status": status.String(), "extended": extended.String()}
	order := repositories(r, files)
	hash := sha256.New()
	for _, name := range order {
		fmt.Fprintln(hash, name, files[name])
	}
	arches := []string{string(r.Arch)}
	for _, a := range r.Foreign {
		arches = append(arches, string(a))
	}
	fmt.Fprintln(hash, arches, files["status"], files["extended"])
	s := &aptSetup{tree: tree, dir: fmt.Sprintf("/srv/n3x-%x", hash.Sum(nil)[:8])}
	s.options = []string{
		"-o", "Dir::State=" + s.dir, "-o", "Dir::State::status=" + s.dir + "/status", "-o", "Dir::State::extended_states=" + s.dir + "/extended",
		"-o", "Dir::Cache=" + s.dir, "-o", "Dir::Etc::sourcelist=" + s.dir + "/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null",
		"-o", "Dir::Etc::preferences=" + s.dir + "/preferences", "-o", "Dir::Etc::preferencesparts=/dev/null",
		"-o", "APT::Architecture=" + arches[0], "-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none",
	}
	for _, a := range arches {
		s.options = append(s.options, "-o", "APT::Architectures::="+a)
	}
	top := filepath.Join(tree.dir, s.dir)
	if _, err := os.Stat(filepath.Join(top, "done")); err == nil {
		return s
	}
	files["sources.list"] = ""
	for _, name := range order {
		if strings.HasSuffix(name, "/Packages") {
			files["sources.list"] += fmt.Sprintf("deb [trusted=yes] file:%s/%s ./\n", s.dir, filepath.Dir(name))
		}
	}
	if err := os.MkdirAll(filepath.Join(top, "lists/partial"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, status, err := s.tree.run(t.Context(), append([]string{"apt-get", "update"}, s.options...)...); err != nil || status != 0 {
		t.Fatalf("apt-get update: %v %d\n%s", err, status, out)
	}
	if err := os.WriteFile(filepath.Join(top, "done"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

// repositories writes the indices of r into files, and pins into apt's preferences; it returns their names in order.
func repositories(r Request, files map[string]string) []string {
	var order []*debian.Index
	byIndex := map[*debian.Index][]*debian.Package{}
	for _, p := range r.Packages {
		if _, ok := byIndex[p.Index]; !ok {
			order = append(order, p.Index)
		}
		byIndex[p.Index] = append(byIndex[p.Index], p)
	}
	var names []string
	preferences := ""
	for i, index := range order {
		var b bytes.Buffer
		writePackages(&b, byIndex[index], false)
		dir := fmt.Sprintf("repo%d", i)
		files[dir+"/Packages"] = b.String()
		sum := sha256.Sum256(b.Bytes())
		files[dir+"/Release"] = fmt.Sprintf("Origin: n3x\nLabel: repo%d\nSuite: %s\nCodename: %s\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n %x %d Packages\n",
			i, index.Archive, index.Codename, sum, b.Len())
		names = append(names, dir+"/Packages", dir+"/Release")
		if pin := byIndex[index][0].Pin; pin != 500 {
			preferences += fmt.Sprintf("Package: *\nPin: release l=repo%d\nPin-Priority: %d\n\n", i, pin)
		}
	}
	files["preferences"] = preferences
	return append(names, "preferences")
}

func (s *aptSetup) remove() { os.RemoveAll(filepath.Join(s.tree.dir, s.dir)) }

// The plan is read from what apt-get would download and from its lists of what it would do; unlike with -s, apt does
// not spend most of its time on the order of the steps.
var (
	aptDownload = regexp.MustCompile(`(?m)^'\S+' ([^_\s]+)_(\S+)_([a-z0-9]+)\.deb `)
	aptSection  = regexp.MustCompile(`(?m)^The following (?:NEW )?packages will be (installed|upgraded|REMOVED|DOWNGRADED):\n((?:   .*\n)*)`)
	aptMember   = regexp.MustCompile(`(?m)^   (\S+) \((\S+)`)
)

// Some plans of made-up universes apt cannot carry out, which shows in the simulation only.
const unordered = "unordered"

var orderError = regexp.MustCompile(`E: (Internal error: MaxLoopCount|Could(n't| not) configure|Conf Broken|Fatal, conflicts violated)`)

// simulate is install, but leaves out what apt-get -s cannot find an order for.
func (s *aptSetup) simulate(t testing.TB, words []string) string {
	t.Helper()
	argv := slices.Concat([]string{"apt-get", "-s", "-y", "--no-install-recommends"}, s.options, []string{"install"}, words)
	out, _, err := s.tree.run(t.Context(), argv...)
	if err != nil {
		t.Fatal(err)
	}
	if orderError.MatchString(out) {
		return unordered
	}
	answer, _ := s.install(t, words)
	return answer
}

// install asks apt, and returns its answer in the form of describe and its whole output.
func (s *aptSetup) install(t testing.TB, words []string, more ...string) (answer, output string) {
	t.Helper()
	argv := slices.Concat([]string{"apt-get", "--print-uris", "-V", "-y", "--no-install-recommends"},
		s.options, more, []string{"install"}, words)
	out, status, err := s.tree.run(t.Context(), argv...)
	if err != nil {
		t.Fatalf("apt-get: %v\n%s", err, out)
	}
	switch status {
	case 0:
	case 100:
		return "refused", out
	default:
		t.Fatalf("apt-get: exit status %d\n%s", status, out)
	}
	upgraded := map[string]bool{}
	var lines []string
	for _, section := range aptSection.FindAllStringSubmatch(out, -1) {
		for _, m := range aptMember.FindAllStringSubmatch(section[2], -1) {
			switch section[1] {
			case "REMOVED":
				name, _, _ := strings.Cut(m[1], ":")
				lines = append(lines, fmt.Sprintf("remove %s=%s\n", name, strings.TrimSuffix(m[2], ")")))
			case "upgraded":
				upgraded[m[1]] = true
			}
		}
	}
	for _, m := range aptDownload.FindAllStringSubmatch(out, -1) {
		verb, name, version := "install", m[1], strings.ReplaceAll(m[2], "%3a", ":")
		if upgraded[name] || upgraded[name+":"+m[3]] {
			verb = "upgrade"
		}
		lines = append(lines, fmt.Sprintf("%s %s:%s=%s\n", verb, name, m[3], version))
	}
	if len(lines) == 0 {
		return "nothing\n", out
	}
	slices.Sort(lines)
	return strings.Join(lines, ""), out
}
