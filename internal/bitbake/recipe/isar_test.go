package recipe

import (
	"context"
	"path/filepath"
	"testing"

	"n3x/internal/bitbake/pyeval"
)

// TestImportsOfISAR has what ISAR's classes do to Python while they are parsed: modules join the package oe without
// addpylib, a module is given to tasks, a fetcher of the layer is registered, and one random UUID is kept for all recipes.
func TestImportsOfISAR(t *testing.T) {
	t.Parallel()
	root := writeTree(t, with(map[string]string{
		"core/lib/oe/extra.py": "import os\n\nclass Thing(object):\n    def use(self):\n        return os.getpid()\n",
		"core/lib/progress.py": "import bb.progress\n\nclass Handler(bb.progress.ProgressHandler):\n    pass\n",
		"core/lib/getter.py":   "from bb.fetch2 import FetchMethod\n\nclass Getter(FetchMethod):\n    def supports(self, ud, d):\n        return ud.type == 'get'\n",
		"core/classes/base.bbclass": `addtask build
def join_oe(d):
    import sys
    sys.path[0:0] = [os.path.join(dir, "lib") for dir in d.getVar("BBPATH").split(":")]
    bb.utils._context["oe"] = __import__("oe.extra")
    return "joined"
JOINED := "${@join_oe(d)}"
def kept_uuid(d):
    import uuid
    kept = bb.persist_data.persist("KEPT", d)
    if "uuid" not in kept or not kept["uuid"]:
        kept["uuid"] = str(uuid.uuid4())
    return kept["uuid"]
CACHE = "${TOPDIR}/cache"
KEPT = "${@kept_uuid(d)}"
OWN = "${@str(__import__('uuid').uuid4())}"
def arch():
    import subprocess
    return subprocess.check_output(["arch-of-host"]).decode("utf-8").strip()
ARCH := "${@arch()}"
python() {
    from bb.fetch2 import methods
    import getter
    methods.append(getter.Getter())
    bb.utils._context["progress"] = __import__("progress")
    d.setVar("DONE", oe.utils.conditional("JOINED", "joined", "yes", "no", d))
}
`,
		"core/b.bb": "",
	}))
	opts := Options{TopDir: filepath.Join(root, "build")}
	opts.Python.Run = func(_ context.Context, c pyeval.Command) (pyeval.Result, error) {
		return pyeval.Result{Stdout: []byte(c.Args[0] + "\n")}, nil
	}
	values := func() (kept, own []string) {
		w, err := Load(context.Background(), opts)
		if err != nil {
			t.Fatal(err)
		}
		if len(w.Recipes("")) < 2 {
			t.Fatalf("only %d recipes", len(w.Recipes("")))
		}
		for _, r := range w.Recipes("") {
			for name, want := range map[string]string{"DONE": "yes", "ARCH": "arch-of-host"} {
				if got, err := r.Data.Value(name); got != want || err != nil {
					t.Errorf("%s of %s is %q, %v; want %q", name, r.PN, got, err, want)
				}
			}
			k, err := r.Data.Value("KEPT")
			if err != nil {
				t.Fatal(err)
			}
			o, err := r.Data.Value("OWN")
			if err != nil {
				t.Fatal(err)
			}
			kept, own = append(kept, k), append(own, o)
		}
		return kept, own
	}
	kept, own := values()
	if len(kept[0]) != 36 || kept[0] != kept[1] || own[0] == own[1] || own[0] == kept[0] {
		t.Errorf("UUIDs that are kept %q, of their own %q", kept, own)
	}
	if again, _ := values(); again[0] != kept[0] {
		t.Errorf("another load keeps %s, not %s", again[0], kept[0])
	}
}
