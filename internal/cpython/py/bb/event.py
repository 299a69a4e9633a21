# SPDX-License-Identifier: MIT
"""Events: the classes that handlers compare with."""

import bb

worker_pid = None


class Event:
    def __init__(self):
        self.pid = worker_pid


def _subclass(name, base=Event, *attributes, **defaults):
    """An event class whose constructor takes attributes in order."""
    def __init__(self, *args, **kwargs):
        Event.__init__(self)
        for key, value in defaults.items():
            setattr(self, key, value)
        for key, value in zip(attributes, args):
            setattr(self, key, value)
        for key, value in kwargs.items():
            setattr(self, key, value)
    globals()[name] = type(name, (base,), {"__init__": __init__, "__module__": __name__} if attributes or base is Event else {"__module__": __name__})


for _name in ("HeartbeatEvent", "ConfigParsed", "OperationStarted", "OperationCompleted", "OperationProgress", "SanityCheckPassed", "NetworkTest",
              "NetworkTestPassed", "NetworkTestFailed", "DiskFull", "CookerExit"):
    _subclass(_name)
_subclass("MultiConfigParsed", Event, "mcdata")
_subclass("RecipeEvent", Event, "fn")
for _name in ("RecipePreFinalise", "RecipePostKeyExpansion", "RecipeParsed"):
    _subclass(_name, RecipeEvent)  # noqa: F821
_subclass("RecipePreDeferredInherits", RecipeEvent, "fn", "inherits")  # noqa: F821
_subclass("RecipeTaskPreProcess", RecipeEvent, "fn", "tasklist")  # noqa: F821
_subclass("BuildBase", Event, "name", "pkgs", "failures", failures=0)
for _name in ("BuildInit", "BuildStarted", "BuildCompleted"):
    _subclass(_name, BuildBase)  # noqa: F821
_subclass("MonitorDiskEvent", Event, "available_bytes", "free_bytes", "total_bytes")
_subclass("NoProvider", Event, "item", "runtime", "dependees", "reasons", "close_matches", runtime=False)
_subclass("MultipleProviders", Event, "item", "candidates", "runtime", runtime=False)
for _name, _base in (("Parse", ""), ("CacheLoad", ""), ("TreeDataPreparation", "")):
    for _kind in ("Started", "Progress", "Completed"):
        _subclass(_name + _kind, globals()["Operation" + _kind], "total", "msg")
_subclass("DepTreeGenerated", Event, "_depgraph")
_subclass("TargetsTreeGenerated", Event, "_model")
_subclass("ReachableStamps", Event, "stamps")
_subclass("StaleSetSceneTasks", Event, "tasks")
_subclass("LogExecTTY", Event, "msg", "prog", "sleep_delay", "retries")
_subclass("MetadataEvent", Event, "type", "_localdata")
_subclass("ProcessStarted", Event, "processname", "total")
_subclass("ProcessProgress", Event, "processname", "progress")
_subclass("ProcessFinished", Event, "processname")
_subclass("SanityCheck", Event, "generateevents", generateevents=True)
_subclass("SanityCheckFailed", Event, "_msg", "_network_error", _network_error=False)
_subclass("ParseError", Event, "_msg")


def getName(e):
    name = getattr(e, "__name__", None)
    return e.__class__.__name__ if name is None else name


def fire(event, d):
    """Nobody listens while metadata is parsed, except the handlers that n3x runs itself."""


fire_from_worker = fire


def check_for_interrupts(*args):
    pass


def enable_threadlock():
    pass


disable_threadlock = enable_threadlock


def n3x_make(fields, d):
    """The event of a handler: fields are its class's full name as "name", and its attributes."""
    fields = dict(fields)
    name = fields.pop("name").rpartition(".")[2]
    kind = globals().get(name) or bb.event.__getattr__(name)
    e = kind.__new__(kind)
    e.pid, e.data = worker_pid, d
    for key, value in fields.items():
        if key in ("tasklist", "inherits"):
            value = [item for item in value.split("\n") if item or key == "inherits"]
        setattr(e, key, value)
    return e
