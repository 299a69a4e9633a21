"""Records what real BitBake makes of a .txtar's layer: replaces its sections want/edges and want/inputs.

Usage: python3 capture.py <folder of BitBake> <file.txtar>
"""
import json, os, re, subprocess, sys, tempfile

bitbake, archive = os.path.abspath(sys.argv[1]), sys.argv[2]
text = open(archive).read()
text = re.split(r"^-- want/.* --\n", text, flags=re.M)[0]
parts = re.split(r"^-- (.*) --\n", text, flags=re.M)
files = dict(zip(parts[1::2], parts[2::2]))
top = tempfile.mkdtemp()
for name, body in files.items():
    os.makedirs(os.path.dirname(os.path.join(top, name)) or top, exist_ok=True)
    open(os.path.join(top, name), "w").write(body)
os.makedirs(os.path.join(top, "inputs"))
open(os.path.join(top, "layer/classes/record.bbclass"), "w").write('''
addhandler record
record[eventmask] = "bb.event.RecipeParsed"
python record() {
    import json
    deps, values = d.getVar("__siggen_taskdeps"), d.getVar("__siggen_varvals")
    mc = d.getVar("__BBMULTICONFIG", False) or ""
    with open(d.getVar("TOPDIR") + "/inputs/" + mc + ":" + d.getVar("PN") + "_" + d.getVar("PV"), "w") as f:
        json.dump({t: {n: values[n] for n in sorted(deps[t] | {t})} for t in deps}, f)
}
''')
open(os.path.join(top, "conf/local.conf"), "w").write("")
conf = os.path.join(top, "layer/conf/bitbake.conf")
open(conf, "a").write('INHERIT += "record"\n')
env = {"PATH": bitbake + "/bin:" + os.environ["PATH"], "BBPATH": top, "HOME": top, "LC_ALL": "en_US.UTF-8", "LANG": "en_US.UTF-8"}
subprocess.run(["bitbake", "-g"] + files["targets"].split(), cwd=top, env=env, check=True, stdout=sys.stderr)
edges = {l.replace('"', "") for l in open(os.path.join(top, "task-depends.dot")) if "->" in l}
out = text + "-- want/edges --\n" + "".join(sorted(edges)) + "-- want/inputs --\n"
for name in sorted(os.listdir(os.path.join(top, "inputs"))):
    if name.startswith(":signed"):
        for task, values in sorted(json.load(open(os.path.join(top, "inputs", name))).items()):
            for var, value in sorted(values.items()):
                out += "%s %s %s\n" % (task, var, json.dumps(str(value or "").replace(top, "/top")))
open(archive, "w").write(out)
