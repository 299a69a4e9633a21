package taskgraph

import "testing"

// TestSteady checks that a passing variable counts for the tasks that read it and for what depends on them, but not behind
// a task with the flag.
func TestSteady(t *testing.T) {
	t.Parallel()
	signatures := func(value, flag string) map[string]string {
		g, top := signed(t, map[string]string{recipeF: "SECRET = => do_all[n3x-steady] = \"" + flag + "\"\nSECRET ="}, "")
		for _, task := range g.Tasks {
			if err := task.Recipe.Data.SetVar("SECRET", value); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.Sign(Options{Passing: []string{"SECRET"}, Places: map[string]string{top: "TOPDIR"}}); err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, task := range g.Tasks {
			out[task.Name] = task.Signature
		}
		return out
	}
	for _, flag := range []string{"0", "1"} {
		before, after := signatures("a", flag), signatures("b", flag)
		if before["do_package"] == "" || before["do_package"] == after["do_package"] {
			t.Errorf("flag %s: do_package reads the variable, and its signature is %q and %q", flag, before["do_package"], after["do_package"])
		}
		if same := before["do_all"] == after["do_all"]; same != (flag == "1") {
			t.Errorf("flag %s: the signatures of do_all are %s and %s", flag, before["do_all"], after["do_all"])
		}
	}
}
