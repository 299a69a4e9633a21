# What python3 -c is given: take the world's description from descriptor 3, and hand over.
import marshal
import os
import resource
import sys

sys.path[:] = [p for p in sys.path if p]  # not the current folder
stream = os.fdopen(3, "rb")
world = marshal.loads(stream.read(int.from_bytes(stream.read(4), "little")))
# A runaway list must not take the machine's memory: what metadata allocates is limited, not the files it maps.
hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
limit = world["memory"] if hard == resource.RLIM_INFINITY else min(world["memory"], hard)
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
space = {"__name__": "n3x.loader"}
exec(compile(world["sources"]["n3x/loader.py"], "<n3x>/n3x/loader.py", "exec"), space)
space["start"](world, stream)
