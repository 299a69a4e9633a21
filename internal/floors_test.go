// Package internal_test holds the rules of the house that a compiler does not check.
package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// floors says on which floor each room is. Imports go down; on one floor only along edges.
var floors = map[string]int{
	"arch": 0, "diag": 0, "progress": 0, "atomicfile": 0, "disk/fstree": 0, "disk/bmap": 0, "disk/gpt": 1, "disk/wks": 1, "disk/fat": 1, "disk/ext4": 1, "yaml": 1, "yaml/schema": 1, "secret": 2,
	"bitbake/syntax": 1, "bitbake/pyeval/python": 1, "bitbake/pyeval/regex": 1, "debian": 1, "debian/deb": 1, "debian/debhelper": 1, "debian/solve": 1, "disk": 1,
	"kas": 2, "cluster": 2, "matrix": 2, "bitbake/pyeval": 2, "bitbake/datastore": 2, "bitbake/recipe": 2, "taskgraph": 2,
	"sandbox": 2, "host": 2, "fetch": 2, "debian/apt": 2, "debian/repo": 2, "tools": 2, "rootfs": 2, "buildroot": 2, "bootloader": 2, "flash": 2, "vm/qemu": 2, "vm/vswitch": 2, "vm/guest": 2, "vm/netserve": 2,
	"runqueue": 3, "siginfo": 3, "isar": 3, "isar/packages": 3, "isar/images": 3, "metadata": 3, "cpython": 3,
	"build": 4, "multiconfig": 4, "layers": 4, "query": 4, "vmtest": 4, "vmtest/control": 4,
	"cli": 5,
}

// edges are the imports within a floor: the map of the house. "a -> b" reads: a imports b.
var edges = []string{
	"debian/deb -> debian", "debian/debhelper -> debian", "debian/debhelper -> debian/deb", "debian/solve -> debian",
	"yaml/schema -> yaml", "disk -> disk/gpt", "disk -> disk/wks", "disk -> disk/fat", "disk -> disk/ext4",
	"bitbake/syntax -> bitbake/pyeval/regex", "bitbake/datastore -> bitbake/pyeval", "bitbake/recipe -> bitbake/pyeval", "bitbake/recipe -> bitbake/datastore",
	"matrix -> cluster",
	"taskgraph -> bitbake/recipe", "taskgraph -> bitbake/datastore",
	"host -> sandbox", "fetch -> sandbox", "rootfs -> sandbox", "buildroot -> sandbox", "buildroot -> rootfs", "tools -> sandbox", "tools -> debian/apt", "vm/qemu -> sandbox", "flash -> sandbox",
	"multiconfig -> build",
	"isar/packages -> isar", "isar/images -> isar", "metadata -> isar", "metadata -> cpython",
	"vmtest/control -> vmtest",
}

// metadata rooms turn text into a plan; machine rooms turn bytes into artefacts. Neither knows the other.
var (
	metadata = []string{"kas", "cluster", "matrix", "bitbake/syntax", "bitbake/pyeval", "bitbake/datastore", "bitbake/recipe", "taskgraph"}
	machine  = []string{"sandbox", "secret", "host", "fetch", "debian/apt", "debian/repo", "tools", "rootfs", "buildroot", "bootloader", "flash", "vm/qemu", "vm/netserve", "disk", "disk/ext4"}
)

// isCode tells a room's own files from its tests and from programs that only tests run.
func isCode(path string, d fs.DirEntry) bool {
	return !d.IsDir() && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") && !strings.Contains(filepath.ToSlash(path), "/testdata/")
}

// imports gives, for each room, the packages that its files without tests import.
func imports(t *testing.T) map[string]map[string]token.Position {
	t.Helper()
	out := map[string]map[string]token.Position{}
	set := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d != nil && d.Name() == "testdata" {
				return fs.SkipDir
			}
			return err
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(set, path, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		room := filepath.ToSlash(filepath.Dir(path))
		if out[room] == nil {
			out[room] = map[string]token.Position{}
		}
		for _, i := range f.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			out[room][name] = set.Position(i.Pos())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 20 {
		t.Fatalf("only %d rooms found; is the test run in internal/?", len(out))
	}
	return out
}

func TestImportsGoDown(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for room, list := range imports(t) {
		floor, known := floors[room]
		if !known {
			t.Errorf("room %s is on no floor; add it to the table", room)
			continue
		}
		for name, pos := range list {
			to, own := strings.CutPrefix(name, "n3x/internal/")
			if !own {
				continue
			}
			switch edge := room + " -> " + to; {
			case floors[to] < floor:
			case slices.Contains(edges, edge):
				used[edge] = true
			default:
				t.Errorf("%s: %s (floor %d) imports %s (floor %d), which the map does not have", pos, room, floor, to, floors[to])
			}
		}
	}
	for _, e := range edges {
		if !used[e] {
			t.Errorf("the map has the edge %q, which nothing uses", e)
		}
	}
}

func TestTwoWings(t *testing.T) {
	t.Parallel()
	all := imports(t)
	for _, room := range machine {
		for name, pos := range all[room] {
			if to := strings.TrimPrefix(name, "n3x/internal/"); to != name && slices.Contains(metadata, to) {
				t.Errorf("%s: machine room %s imports metadata room %s", pos, room, to)
			}
		}
	}
	for _, room := range metadata {
		for name, pos := range all[room] {
			if to := strings.TrimPrefix(name, "n3x/internal/"); to != name && slices.Contains(machine, to) || name == "net" || name == "net/http" {
				t.Errorf("%s: metadata room %s imports %s", pos, room, name)
			}
		}
	}
}

func TestOnlyTheSandboxStartsProcesses(t *testing.T) {
	t.Parallel()
	for room, list := range imports(t) {
		if pos, ok := list["os/exec"]; ok && room != "sandbox" {
			t.Errorf("%s: %s imports os/exec; start programs through package sandbox", pos, room)
		}
	}
}

// TestPackageComments checks that each room says what it is, in the file that bears its name.
func TestPackageComments(t *testing.T) {
	t.Parallel()
	for room := range imports(t) {
		file := filepath.Join(room, filepath.Base(room)+".go")
		if _, err := os.Stat(file); err != nil {
			t.Errorf("%s: the file named like the room is missing", file)
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if f.Doc == nil || !strings.HasPrefix(f.Doc.Text(), "Package ") {
			t.Errorf("%s: no package comment", file)
		}
	}
}

// longFunctions may be longer than the limit: tables and scanners that are clearer in one piece.
var longFunctions = map[string]bool{
	"bitbake/pyeval/percent.go directive": true, // one case for each conversion of printf-style formatting
}

func TestFunctionsAreShort(t *testing.T) {
	t.Parallel()
	const limit = 100
	set := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !isCode(path, d) {
			return err
		}
		f, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		for _, decl := range f.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			lines := set.Position(fn.End()).Line - set.Position(fn.Pos()).Line
			if lines > limit && !longFunctions[filepath.ToSlash(path)+" "+fn.Name.Name] {
				t.Errorf("%s: %s has %d lines; the limit is %d", set.Position(fn.Pos()), fn.Name.Name, lines, limit)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestNoSilentGlobals checks that no room below the command line reads the environment, leaves the process or moves it.
func TestNoSilentGlobals(t *testing.T) {
	t.Parallel()
	forbidden := map[string][]string{"os": {"Exit", "Chdir", "Getenv", "LookupEnv", "Environ"}, "log": nil}
	set := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		room := filepath.ToSlash(filepath.Dir(path))
		if err != nil || !isCode(path, d) || room == "cli" || room == "sandbox" {
			return err
		}
		f, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := sel.X.(*ast.Ident)
			if ok && pkg.Obj == nil && slices.Contains(forbidden[pkg.Name], sel.Sel.Name) {
				t.Errorf("%s: %s.%s belongs to the command line", set.Position(n.Pos()), pkg.Name, sel.Sel.Name)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
