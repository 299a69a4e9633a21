package taskgraph

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"n3x/internal/diag"
)

// signed makes the signatures of all tasks of the recipe "signed", after edits ("old => new", by file).
func signed(t *testing.T, edit map[string]string, file string) (*Graph, string) {
	t.Helper()
	a, _ := archive(t, "testdata/world.txtar")
	top := layers(t, a, edit)
	if err := os.WriteFile(filepath.Join(top, "some-file"), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	w := load(t, top)
	g, err := Build(w, targetsOf("signed:all signed:listtasks"))
	if err != nil {
		t.Fatal(err)
	}
	sign(t, g, top)
	return g, top
}

func sign(t *testing.T, g *Graph, top string) {
	t.Helper()
	err := g.Sign(Options{
		FileDigest: func(path string) (string, error) { data, err := os.ReadFile(path); return digest(string(data)), err },
		Places:     map[string]string{top: "TOPDIR", filepath.Join(top, "layer"): "LAYERDIR_small"},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// own are the inputs of a task without the signatures of other tasks.
func own(t *Task) []Input {
	return slices.DeleteFunc(slices.Clone(t.Inputs), func(in Input) bool { return strings.HasPrefix(in.Name, "task ") })
}

const (
	conf    = "layer/conf/bitbake.conf"
	recipeF = "layer/recipes/signed.bb"
	every   = "do_all do_build do_fetch do_install do_listtasks do_package do_unpack"
)

var changes = []struct {
	name, file, edit string
	want             string // tasks with changed inputs of their own
}{
	{"nothing", recipeF, "SECRET => SECRET", ""},
	{"comment", recipeF, "SECRET = => # about the secret\nSECRET =", ""},
	{"lines move", recipeF, "LIST = => \n\n\nLIST =", ""},
	{"another recipe", "layer/recipes/lib_2.0.bb", "cross => cross deep", ""},
	{"variable nobody reads", recipeF, "nobody reads => really nobody reads", ""},
	{"ignored variable", conf, "who ${NAME} => whoever", ""},
	{"ignored variable's user", conf, "IGNORED2 = \"${IGNORED}\" => IGNORED2 = \"x${IGNORED}\"", "do_install"},
	{"variable below others", conf, "NAME = \"world\" => NAME = \"moon\"", "do_fetch do_install do_package do_unpack"},
	{"exported variable", conf, "EXPORTED = \"${UNDER}\" => EXPORTED = \"${UNDER}0\"", every},
	{"below an exported variable", conf, "UNDER = \"1\" => UNDER = \"2\"", every},
	{"new exported variable", conf, "UNDER = \"1\" => UNDER = \"1\"\nexport MORE = \"1\"", every},
	{"unexported variable", conf, "HIDDEN = \"2\" => HIDDEN = \"3\"", ""},
	{"function called by a function", recipeF, "x=$(helper_five) => x=$( helper_five )", "do_install"},
	{"call of another function", recipeF, "$(helper_seven | helper_eight) => $(helper_seven)", "do_install"},
	{"task's own text", recipeF, "A=b ${FORCED} => A=c ${FORCED}", "do_install"},
	{"appended text", "layer/recipes/signed.bbappend", "helper_one => helper_two", "do_fetch"},
	{"function named in a postfunc only", recipeF, "helper_never() { => helper_never() {\n    :", "do_unpack"},
	{"variable of a prefunc", recipeF, "over ${UNDER} => over and over ${UNDER}", "do_install do_package"},
	{"override that is not active", recipeF, "OVER = \"plain\" => OVER = \"plainer\"\nOVER:two = \"x\"", ""},
	{"removed word", recipeF, "GONE = \"zzz\" => GONE = \"c\"", "do_install do_package do_unpack"},
	{"word that is asked for, gone", conf, "FEATURES = \"red green\" => FEATURES = \"red\"", "do_package do_unpack"},
	{"word that nobody asks for", conf, "FEATURES = \"red green\" => FEATURES = \"brown red green\"", ""},
	{"inline python's variable", recipeF, "SECRET = \"s\" => SECRET = \"t\"", "do_package"},
	{"variable of a def that a def calls", recipeF, "DEEP_TWO = \"2\" => DEEP_TWO = \"3\"", "do_package do_unpack"},
	{"def", recipeF, "return inner_def(d) => return '' + inner_def(d)", "do_package do_unpack"},
	{"vardepvalue hides the value", recipeF, "RANDOM_VALUE = \"4\" => RANDOM_VALUE = \"5\"", ""},
	{"vardepvalue", recipeF, "fixed-${UNDER} => fixed+${UNDER}", "do_package"},
	{"vardepvalueexclude", recipeF, "keep drop1 drop2 => keep drop1", ""},
	{"vardepvalueexclude keeps the rest", recipeF, "keep drop1 drop2 => keep it drop1 drop2", "do_package do_unpack"},
	{"vardepsexclude", recipeF, "[vardepsexclude] = \"SECRET\" => [vardepsexclude] = \"SECRET NAME\"", ""},
	{"vardeps with a variable in it", recipeF, "CMD_NAME = \"helper_three\" => CMD_NAME = \"helper_two\"", "do_install do_package"},
	{"vardeps that come to be", recipeF, "UNUSED = => missing =", "do_package"},
	{"flag", recipeF, "FLAGGED[dirs] = \"${GREETING}\" => FLAGGED[dirs] = \"${GREETING}/x\"", "do_package do_unpack"},
	{"flag that does not count", recipeF, "not counted => still not counted", ""},
	{"task's flag", recipeF, "do_install[network] = \"${UNDER}\" => do_install[network] = \"0\"", "do_install"},
	{"task's order", "layer/classes/base.bbclass", "addtask unpack after do_fetch => addtask unpack after do_fetch do_listtasks", ""},
}

func TestSignaturesChangeWithWhatCounts(t *testing.T) {
	t.Parallel()
	before, _ := signed(t, nil, "")
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			after, _ := signed(t, map[string]string{c.file: c.edit}, "")
			compareTasks(t, before, after, c.want)
		})
	}
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		after, _ := signed(t, nil, "other content")
		compareTasks(t, before, after, "do_fetch")
	})
}

// compareTasks checks that the tasks of want, and no others, have changed inputs, and that the signatures of these and of
// all that depend on them differ.
func compareTasks(t *testing.T, before, after *Graph, want string) {
	t.Helper()
	old := map[string]*Task{}
	for _, task := range before.Tasks {
		old[task.Name] = task
	}
	var got []string
	differs := map[*Task]bool{}
	for _, task := range after.Tasks {
		was := old[task.Name]
		if !slices.Equal(own(was), own(task)) {
			got = append(got, task.Name)
			differs[task] = true
		}
		if len(was.DependsOn) != len(task.DependsOn) {
			differs[task] = true
		}
		for _, d := range task.DependsOn {
			differs[task] = differs[task] || differs[d]
		}
		if changed := was.Signature != task.Signature; changed != differs[task] {
			t.Errorf("%s: signature changed: %v, want %v", task.Name, changed, differs[task])
		}
	}
	slices.Sort(got)
	if list := strings.Join(got, " "); list != want {
		t.Errorf("changed inputs of %q, want %q", list, want)
	}
}

func TestSignaturesDoNotDependOnThePlace(t *testing.T) {
	t.Parallel()
	edit := map[string]string{recipeF: `SECRET = "s" => SECRET := "${LAYERDIR_small}/s:${TOPDIR}/t ${TOPDIR}-not"`, "layer/conf/layer.conf": "LAYERSERIES_CORENAMES => LAYERDIR_small = \"${LAYERDIR}\"\nLAYERSERIES_CORENAMES"}
	a, top := signed(t, edit, "")
	b, other := signed(t, edit, "")
	if top == other {
		t.Fatal("the same folder twice")
	}
	for i, task := range a.Tasks {
		same := task.Signature == b.Tasks[i].Signature
		// The text "<folder>-not" is no path below the folder.
		if want := !strings.Contains("do_package do_build do_all", task.Name); same != want {
			t.Errorf("%s: equal signatures: %v, want %v", task.Name, same, want)
		}
	}
	edit[recipeF] = strings.ReplaceAll(edit[recipeF], " ${TOPDIR}-not", "")
	a, _ = signed(t, edit, "")
	b, _ = signed(t, edit, "")
	for i, task := range a.Tasks {
		if diff := cmp.Diff(task.Inputs, b.Tasks[i].Inputs); diff != "" {
			t.Errorf("%s: %s", task.Name, diff)
		}
	}
}

func TestGraphIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	a, files := archive(t, "testdata/world.txtar")
	top := layers(t, a, nil)
	if err := os.WriteFile(filepath.Join(top, "some-file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	w := load(t, top)
	var first []string
	for range 20 {
		g, err := Build(w, targetsOf(files["targets"]))
		if err != nil {
			t.Fatal(err)
		}
		sign(t, g, top)
		var now []string
		at := map[*Task]int{}
		for i, task := range g.Tasks {
			at[task] = i
			now = append(now, task.ID()+" "+task.Signature)
			for _, d := range task.DependsOn {
				if before, done := at[d]; !done || before >= i {
					t.Errorf("%s comes before %s, which it needs", task.ID(), d.ID())
				}
			}
		}
		if first == nil {
			first = now
		}
		if diff := cmp.Diff(first, now); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestFlagsOfTasks(t *testing.T) {
	t.Parallel()
	edit := map[string]string{"layer/classes/base.bbclass": `do_all[noexec] = "1" => do_all[noexec] = "0"`, "layer/recipes/lib_2.0.bb": "DEPENDS => do_unpack[nostamp] = \"1\"\nDEPENDS"}
	a, _ := archive(t, "testdata/world.txtar")
	g, err := Build(load(t, layers(t, a, edit)), targetsOf("lib:all"))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range g.Tasks {
		if want := task.Name == "do_all"; task.NoExec != want {
			t.Errorf("%s: NoExec %v: the flag counts, whatever its value", short(task), task.NoExec)
		}
		if want := task.Recipe.PN == "lib" && task.Name != "do_fetch"; task.NoStamp != want {
			t.Errorf("%s: NoStamp %v, want %v", short(task), task.NoStamp, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	const top = "layer/recipes/top_1.0.bb"
	for _, c := range []struct {
		name, targets, file, edit string
		want                      []string
	}{
		{"unknown target", "topp", "", "", []string{"nothing PROVIDES topp", "did you mean top?"}},
		{"unknown task", "top:instal", "", "", []string{"recipe top has no task do_instal", "did you mean do_install?"}},
		{"unknown multiconfig", "mc:othr:image", "", "", []string{`no multiconfig "othr"`, "did you mean other?"}},
		{"two unknown targets", "nixda garnix", "", "", []string{"nixda", "garnix"}},
		{"unknown dependency", "top", top, `"lib virtual => "libb virtual`, []string{"nothing PROVIDES libb", "needed by DEPENDS of ", "top_1.0.bb", "did you mean lib?"}},
		{"unknown dependency of a task that is not built", "top:fetch", top, `"lib virtual => "libb virtual`, []string{"nothing PROVIDES libb"}},
		{"unknown recipe in depends", "top", top, "cross:do_special outside => crosss:do_special outside", []string{"nothing PROVIDES crosss", "do_install of top", "did you mean cross?"}},
		{"unknown task in depends", "top", top, "cross:do_special outside => cross:do_spezial outside", []string{"recipe cross has no task do_spezial", "needed by do_install of top", "did you mean do_special?"}},
		{"unknown package", "top", top, "RDEPENDS:${PN} = \"runner\" => RDEPENDS:${PN} = \"walker\"", []string{"nothing RPROVIDES walker", "needed by RDEPENDS of ", "DEBIAN_DEPENDS"}},
		{"malformed depends", "top", top, "cross:do_special outside => cross outside", []string{`do_install[depends] of top has "cross"`, "recipe:task", "virtual/kernel:do_deploy_deb"}},
		{"malformed mcdepends", "top", top, "mc::other:image:do_build => mc:other:image:do_build", []string{"do_multi[mcdepends] of top", "mc:from:to:recipe:task"}},
		{"mcdepends on what is not enabled", "top", top, "mc::other:image:do_build => mc::otter:image:do_build", []string{`no multiconfig "otter"`, "needed by do_multi of top", "did you mean other?"}},
		{"circle", "top", top, "addtask multi before => do_fetch[depends] = \"top:do_package\"\naddtask multi before", []string{"in a circle", "do_fetch of top", "do_package of top"}},
		{"two versions", "twice virtual/old", "layer/recipes/twice_1.bb", " => PROVIDES = \"virtual/old\"\n", []string{"two versions of twice would be built", "PREFERRED_VERSION_twice"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a, _ := archive(t, "testdata/world.txtar")
			_, err := Build(load(t, layers(t, a, map[string]string{c.file: c.edit})), targetsOf(c.targets))
			var d *diag.Error
			if !errors.As(err, &d) {
				t.Fatalf("error %v", err)
			}
			var text strings.Builder
			diag.Render(&text, "n3x", err)
			for _, want := range c.want {
				if !strings.Contains(text.String(), want) {
					t.Errorf("no %q in:\n%s", want, text.String())
				}
			}
		})
	}
}
