package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

const layersVectors = "../layers/testdata/"

// layersAnswer is what record.py writes for one command.
type layersAnswer struct {
	Command string             `json:"command"`
	Status  int                `json:"status"`
	Stdout  string             `json:"stdout"`
	Stderr  string             `json:"stderr"`
	Files   map[string]*string `json:"files"`
}

// deliberate are commands for which this program does something else than the original, by "case/command"; "2.8:" before
// it stands for that release only.
var deliberate = map[string]string{
	"needs/add-layer ../needy":                            "the original leaves a layer in the file whose dependency is missing",
	"flat/flatten core extra nowhere absent":              "the original says that a layer is not there, and reports success",
	"topdir/remove-layer '${TOPDIR}/../core'":             "the original takes ${TOPDIR} for a folder's name",
	"home/remove-layer one":                               "the original parses ~ after it has refused it as a folder",
	"home/show-layers":                                    "likewise",
	"home/add-layer ../one":                               "likewise",
	"home/remove-layer ../two":                            "likewise",
	"create/create-layer ../meta-new":                     "", // twice: see the status
	"2.8:query/show-recipes --show-variants":              "newer than 2.8",
	"2.8:query/show-recipes --show-variants -f \"tool*\"": "newer than 2.8",
}

// skipsOfAll are listed by 2.8 for each multiconfig, those of the others too; which reason it shows is a matter of luck.
func skipsOfAll(version, name string) bool {
	return strings.HasPrefix(version, "2.8") && name == "multi"
}

func TestLayersLikeTheOriginal(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"layers-2.8.json", "layers-2.19.json"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(layersVectors + file)
			if err != nil {
				t.Fatal(err)
			}
			var recorded struct {
				BitBake string                    `json:"bitbake"`
				Cases   map[string][]layersAnswer `json:"cases"`
			}
			if err := json.Unmarshal(data, &recorded); err != nil {
				t.Fatal(err)
			}
			commands := 0
			for name, answers := range recorded.Cases {
				commands += len(answers)
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					runLayersCase(t, recorded.BitBake, name, answers)
				})
			}
			if commands < 90 {
				t.Errorf("only %d commands are recorded", commands)
			}
		})
	}
}

func runLayersCase(t *testing.T, version, name string, answers []layersAnswer) {
	if skipsOfAll(version, name) {
		return
	}
	root := unpackLayersCase(t, name)
	for _, want := range answers {
		before := readTree(t, root)
		got := runLayers(t, root, version, strings.ReplaceAll(want.Command, "@ROOT@", root))
		got.Files = changes(before, readTree(t, root), root)
		if why, ok := deliberate[name+"/"+want.Command]; ok && why != "" {
			continue
		}
		if _, ok := deliberate["2.8:"+name+"/"+want.Command]; ok && strings.HasPrefix(version, "2.8") {
			continue
		}
		compareLayers(t, want, got)
	}
}

// compareLayers compares what the original did with what this program did.
func compareLayers(t *testing.T, want, got layersAnswer) {
	t.Helper()
	if want.Status != got.Status {
		t.Errorf("%s: status %d, want %d\n%s%s", want.Command, got.Status, want.Status, got.Stdout, got.Stderr)
	}
	if diff := cmp.Diff(layersLines(want), layersLines(got)); diff != "" {
		t.Errorf("%s: standard output, bitbake-layers (-), got (+):\n%s", want.Command, diff)
	}
	for line := range strings.Lines(want.Stderr + want.Stdout) {
		line = strings.TrimSpace(line)
		fixed := strings.HasPrefix(line, "Specified ") || strings.HasPrefix(line, "No layers ")
		for _, text := range []string{"No class named", "If you specify", "Directory out", "Parse failure"} {
			fixed = fixed || strings.HasPrefix(line, "ERROR: "+text)
		}
		if line = strings.TrimPrefix(line, "ERROR: "); fixed && !strings.Contains(got.Stderr, line) {
			t.Errorf("%s: standard error lacks %q:\n%s", want.Command, line, got.Stderr)
		}
	}
	if diff := cmp.Diff(comparableFiles(want), comparableFiles(got)); diff != "" {
		t.Errorf("%s: changed files, bitbake-layers (-), got (+):\n%s", want.Command, diff)
	}
}

// layersLines are the lines of an answer that can be compared: in the original the recipes below a name come in the order
// in which they were parsed, and files in that of their folder on disk.
func layersLines(a layersAnswer) []string {
	var lines []string
	for line := range strings.Lines(a.Stdout) {
		// The recorder puts OpenEmbedded's plugins into the core layer.
		if !strings.HasPrefix(line, "ERROR: ") && !strings.Contains(line, "/lib/bblayers/") && line != "\n" && line != "TRACEBACK\n" {
			if strings.Contains(line, "@ROOT@") && a.Command == "show-layers" {
				line = strings.Join(strings.Fields(line), " ") // the width depends on the folder
			}
			lines = append(lines, strings.TrimRight(line, " \n"))
		}
	}
	if strings.HasPrefix(a.Command, "show-cross") || strings.HasPrefix(a.Command, "flatten") {
		slices.Sort(lines)
	}
	for i := 0; i < len(lines); i++ {
		j := i
		for j < len(lines) && strings.HasPrefix(lines[j], "  ") {
			j++
		}
		first := i
		if !strings.Contains(a.Command, "-f") && !strings.Contains(a.Command, "-mf") && !strings.Contains(a.Command, "--filenames") && !strings.Contains(a.Command, "appends") {
			first++ // the preferred one
		}
		if first < j {
			slices.Sort(lines[first:j])
		}
		i = max(i, j-1)
	}
	return lines
}

// comparableFiles are the changed files: of those that create-layer writes only the names, of recipes with several appends
// the lines without their order.
func comparableFiles(a layersAnswer) map[string]string {
	out := map[string]string{}
	for name, text := range a.Files {
		switch {
		case strings.HasSuffix(name, "/COPYING.MIT"), strings.Contains(name, "/n3x/"), strings.Contains(name, "/tmp"):
		case text == nil:
			out[name] = "(removed)"
		case strings.HasPrefix(a.Command, "create-layer") && !strings.HasSuffix(name, "bblayers.conf"):
			out[name] = ""
		case strings.HasSuffix(name, ".bb"):
			lines := strings.Split(*text, "\n")
			slices.Sort(lines)
			out[name] = strings.Join(lines, "\n")
		default:
			out[name] = *text
		}
	}
	return out
}

// runLayers runs one command line in the build folder of a case.
func runLayers(t *testing.T, root, version, line string) layersAnswer {
	t.Helper()
	var stdout, stderr bytes.Buffer
	lib := filepath.Join(root, "bitbake", "lib", "bb", "__init__.py")
	if err := os.MkdirAll(filepath.Dir(lib), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(lib, []byte("__version__ = \""+version+"\"\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	a := &app{ctx: context.Background(), name: "bitbake-layers", stdout: &stdout, stderr: &stderr, dir: filepath.Join(root, "build"),
		env: map[string]string{"HOME": root, "PATH": "/usr/bin:/bin", "BITBAKEDIR": filepath.Join(root, "bitbake")}}
	c := a.bitbakeLayers()
	c.SetArgs(shellWords(line))
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetOut(&stdout)
	c.SetErr(&stderr)
	status := a.finish(c.ExecuteContext(a.ctx))
	clean := func(b bytes.Buffer) string { return strings.ReplaceAll(b.String(), root, "@ROOT@") }
	return layersAnswer{Command: line, Status: status, Stdout: clean(stdout), Stderr: clean(stderr)}
}

// shellWords splits at blanks, and takes quotes away.
func shellWords(line string) []string {
	var words []string
	for w := range strings.FieldsSeq(line) {
		words = append(words, strings.Trim(w, `"'`))
	}
	return words
}

func unpackLayersCase(t *testing.T, name string) string {
	t.Helper()
	archive, err := txtar.ParseFile(layersVectors + "layers.txtar")
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var unpack func(name string)
	unpack = func(name string) {
		for _, f := range archive.Files {
			if f.Name == name+"/base" {
				unpack(strings.TrimSpace(string(f.Data)))
			}
		}
		for _, f := range archive.Files {
			rest, ok := strings.CutPrefix(f.Name, name+"/")
			if !ok || rest == "base" || rest == "commands" {
				continue
			}
			path := filepath.Join(root, rest)
			if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, bytes.ReplaceAll(f.Data, []byte("@ROOT@"), []byte(root)), 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	unpack(name)
	return root
}

func readTree(t *testing.T, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(path, root+"/bitbake/") {
			return err
		}
		data, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, root)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func changes(before, after map[string]string, root string) map[string]*string {
	out := map[string]*string{}
	for name, text := range after {
		if old, ok := before[name]; !ok || old != text {
			text = strings.ReplaceAll(text, root, "@ROOT@")
			out[name] = &text
		}
	}
	for name := range before {
		if _, ok := after[name]; !ok {
			out[name] = nil
		}
	}
	return out
}
