# SPDX-License-Identifier: MIT
"""Names of tasks: "mc:NAME:FILE:TASK", where "mc:NAME:" is there for multiconfigs only."""


def split_mc(n):
    if n.startswith("mc:") and n.count(":") >= 2:
        _, mc, n = n.split(":", 2)
        return mc, n
    return "", n


def split_tid_mcfn(tid):
    if tid.startswith("mc:") and tid.count(":") >= 2:
        _, mc, rest = tid.split(":", 2)
        fn, _, taskname = rest.rpartition(":")
        return mc, fn, taskname, "mc:%s:%s" % (mc, fn)
    fn, _, taskname = tid.rpartition(":")
    return "", fn, taskname, fn


def split_tid(tid):
    return split_tid_mcfn(tid)[:3]


def mc_from_tid(tid):
    return split_mc(tid)[0]


def fn_from_tid(tid):
    return tid.rpartition(":")[0]


def taskname_from_tid(tid):
    return tid.rpartition(":")[2]


def build_tid(mc, fn, taskname):
    return "mc:%s:%s:%s" % (mc, fn, taskname) if mc else "%s:%s" % (fn, taskname)
