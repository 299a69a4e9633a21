# SPDX-License-Identifier: MIT
"""Tasks: adding and removing them, and calling functions of metadata."""

import bb
from bb import event
from n3x import wire


class FuncFailed(Exception):
    pass


class TaskBase(event.Event):
    def __init__(self, t, fn, logfile, d):
        self._task, self._fn, self.logfile = t, fn, logfile
        self._package = d.getVar("PF")
        self._mc = d.getVar("BB_CURRENT_MC")
        self.taskfile = d.getVar("FILE")
        self.taskname = self._task
        self.pn, self.pv = d.getVar("PN"), d.getVar("PV")
        super().__init__()


class TaskStarted(TaskBase):
    pass


class TaskSucceeded(TaskBase):
    pass


class TaskFailed(TaskBase):
    pass


class TaskFailedSilent(TaskBase):
    pass


class TaskInvalid(TaskBase):
    pass


class TaskProgress(event.Event):
    def __init__(self, progress, rate=None):
        self.progress, self.rate = progress, rate
        super().__init__()


def ensure_task_prefix(name):
    return name if name.startswith("do_") else "do_" + name


def addtask(task, before, after, d):
    wire.call("call", "addtask", d._n3x, task, (before or "").split(), (after or "").split())


def deltask(task, d):
    wire.call("call", "deltask", d._n3x, task)


def listtasks(d):
    return tuple(d.getVar("__BBTASKS", False) or ())


def preceedtask(task, with_recrdeptasks, d):
    if task not in listtasks(d):
        return set()
    found = set(d.getVarFlag(task, "deps") or [])
    if with_recrdeptasks:
        found.update((d.getVarFlag(task, "recrdeptask") or "").split())
    return found


def tasksbetween(task_start, task_end, d):
    tasks = [k for k in d.keys() if d.getVarFlag(k, "task")]
    later = {task: [t for t in tasks if task in (d.getVarFlag(t, "deps", False) or [])] for task in tasks + [task_start, task_end]}
    found = []

    def follow(task, chain):
        if task in chain:
            bb.fatal("Circular task dependencies as %s depends on itself via the chain %s" % (task, " -> ".join(chain)))
        chain = chain + [task]
        if task == task_end:
            found.extend(t for t in chain if t not in found)
            return
        for other in later.get(task, ()):
            if other != task:
                follow(other, chain)

    follow(task_start, [])
    return found
