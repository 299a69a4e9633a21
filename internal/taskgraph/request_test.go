package taskgraph

import (
	"slices"
	"strings"
	"testing"

	"n3x/internal/bitbake/recipe"
)

// asked are the words of a request in testdata/requests.txtar.
func asked(t *testing.T, w *recipe.World, line string) (*Graph, error) {
	t.Helper()
	words := strings.Fields(line)
	req := Request{KeepGoing: words[0] == "keepgoing", Incomplete: words[0] == "incomplete"}
	task := ""
	var targets []string
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "runall":
			req.RunAll = append(req.RunAll, value)
		case "runonly":
			req.RunOnly = append(req.RunOnly, value)
		case "task":
			task = value
		default:
			targets = append(targets, word)
		}
	}
	var err error
	if req.Targets, err = Targets(w, targets, task); err != nil {
		return nil, err
	}
	return Make(w, req)
}

func named(t *Task) string {
	name := t.Recipe.PN + "_" + t.Recipe.PV + "." + t.Name
	if t.Recipe.MC != "" {
		name = "mc:" + t.Recipe.MC + ":" + name
	}
	return name
}

// answer is a graph as the vectors have it.
func answer(g *Graph, err error) string {
	if err != nil {
		return "\trefused\n"
	}
	var tasks, edges []string
	for _, t := range g.Tasks {
		tasks = append(tasks, named(t))
		for _, d := range t.DependsOn {
			edges = append(edges, named(t)+" -> "+named(d))
		}
	}
	slices.Sort(tasks)
	slices.Sort(edges)
	return "\ttasks " + strings.Join(tasks, " ") + "\n\tedges " + strings.Join(edges, "; ") + "\n"
}

func TestRequestsAreAnsweredAsByBitBake(t *testing.T) {
	t.Parallel()
	a, files := archive(t, "testdata/requests.txtar")
	top := layers(t, a, nil)
	for _, release := range []string{"2.8", "2.19"} {
		w, err := recipe.Load(t.Context(), recipe.Options{TopDir: top, BitBake: release, Environ: map[string]string{"HOME": top, "PATH": "/bin"}})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		request, want := "", ""
		check := func() {
			if request == "" {
				return
			}
			n++
			g, err := asked(t, w, request)
			if got := answer(g, err); got != want {
				t.Errorf("%s: %s: (%v)\n got %s\nwant %s", release, request, err, got, want)
			}
			want = ""
		}
		for line := range strings.Lines(files["want/"+release]) {
			if strings.HasPrefix(line, "\t") {
				want += line
				continue
			}
			check()
			request = strings.TrimSpace(line)
		}
		check()
		if n < 200 {
			t.Errorf("%s: only %d requests recorded", release, n)
		}
	}
}
