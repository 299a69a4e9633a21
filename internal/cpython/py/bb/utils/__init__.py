# SPDX-License-Identifier: MIT
"""Helpers that metadata calls: words, versions and dependencies here, files and code in modules beside."""

import collections
import fnmatch
import logging
import os
import re

import bb
from bb.utils.code import *  # noqa: F401,F403
from bb.utils.files import *  # noqa: F401,F403
from n3x import names as _names

logger = logging.getLogger("BitBake.Util")


def __getattr__(name):
    if name == "_context":
        return _names.context
    return __spec__.loader.borrow("bb.utils", name)


class VersionStringException(Exception):
    pass


def explode_version(s):
    """Pieces of a version: (0, number), (1, letters), (-1, "~") or (2, any other character)."""
    found = []
    for number, letters, other in re.findall(r"(\d+)|([a-zA-Z]+)|(.)", s, re.ASCII | re.DOTALL):
        if number:
            found.append((0, int(number)))
        elif letters:
            found.append((1, letters))
        else:
            found.append((-1 if other == "~" else 2, other))
    return found


def split_version(s):
    s = s.strip(" <>=")
    epoch = 0
    if ":" in s:
        epoch, s = int(s.split(":")[0]), s.split(":")[1]
    version, dash, revision = s.rpartition("-")
    return (epoch, version, revision) if dash else (epoch, s, "")


def vercmp_part(a, b):
    """Compare piece by piece; where one version has ended, the empty piece (0, None) stands for it."""
    a, b = explode_version(a), explode_version(b)
    for i in range(max(len(a), len(b))):
        x = a[i] if i < len(a) else (0, None)
        y = b[i] if i < len(b) else (0, None)
        if x[0] != y[0]:
            return -1 if x[0] < y[0] else 1
        if x[1] is None:
            return -1
        if y[1] is None:
            return 1
        if x[1] != y[1]:
            return -1 if x[1] < y[1] else 1
    return 0


def vercmp(ta, tb):
    return (int(ta[0] or 0) - int(tb[0] or 0)) or vercmp_part(ta[1], tb[1]) or vercmp_part(ta[2], tb[2])


def vercmp_string(a, b):
    return vercmp(split_version(a), split_version(b))


def vercmp_string_op(a, b, op):
    res = vercmp_string(a, b)
    if op in ("=", "=="):
        return res == 0
    if op == "!=":
        return res != 0
    if op in ("<", "<<"):
        return res < 0
    if op in (">", ">>"):
        return res > 0
    if op == "<=":
        return res <= 0
    if op == ">=":
        return res >= 0
    raise VersionStringException('Unsupported comparison operator "%s"' % op)


@bb.filter.filter_proc(name="bb.utils.explode_deps")
def explode_deps(s):
    """Names without the versions in parentheses behind them."""
    found, inside = [], False
    for word in s.split():
        inside = inside or word.startswith("(")
        if not inside:
            found.append(word)
        elif word.endswith(")"):
            inside = False
    return found


def explode_dep_versions2(s, *, sort=True):
    """{name: ["op version", ...]} of a string such as "a (>= 1) b"."""
    found = collections.OrderedDict()
    name, operator, version = None, "", ""
    at_operator = in_version = False
    for word in s.replace(",", "").split():
        if word.startswith("("):
            at_operator = True
            word = word[1:].strip()
            if not word:
                continue
        if at_operator:
            at_operator, in_version = False, True
            m = re.match("<=|=<|<<|==|!=|>=|=>|>>|<|>|=", word)
            if not m:
                raise VersionStringException('Invalid version specification in "(%s" - invalid or missing operator' % word)
            operator, word = m.group(), word[m.end():]
            if not word:
                continue
        if not in_version:
            name, operator, version = word, "", ""
            if not found.get(word):
                found[word] = []
            continue
        if word.endswith(")"):
            in_version = False
            word = word[:-1]
            if version and word:
                version += " "
        if word:
            version += word
            found.setdefault(name, []).append(operator + " " + version)
    if sort:
        found = collections.OrderedDict(sorted(found.items()))
    return found


def explode_dep_versions(s):
    found = explode_dep_versions2(s)
    for name, versions in found.items():
        if len(versions) > 1:
            bb.warn("explode_dep_versions(): Item %s appeared in dependency string '%s' multiple times with different values.  explode_dep_versions cannot cope with this." % (name, s))
        found[name] = versions[0] if versions else None
    return found


def join_deps(deps, commasep=True):
    found = []
    for name, versions in deps.items():
        if not versions:
            found.append(name)
        else:
            found.extend("%s (%s)" % (name, v) for v in (versions if isinstance(versions, list) else [versions]))
    return (", " if commasep else " ").join(found)


def _words(values):
    return set(values.split()) if isinstance(values, str) else set(values)


def contains(variable, checkvalues, truevalue, falsevalue, d):
    val = d.getVar(variable)
    if not val:
        return falsevalue
    val = set(val.split())
    return truevalue if _words(checkvalues) <= val else falsevalue


def contains_any(variable, checkvalues, truevalue, falsevalue, d):
    val = d.getVar(variable)
    if not val:
        return falsevalue
    val = set(val.split())
    return truevalue if _words(checkvalues) & val else falsevalue


def filter_string(val, checkvalues):
    if not val:
        return ""
    val = set(val.split())
    return " ".join(sorted(_words(checkvalues) & val))


def filter(variable, checkvalues, d):
    return filter_string(d.getVar(variable), checkvalues)


def to_boolean(string, default=None):
    if not string:
        return default
    if isinstance(string, int):
        return string != 0
    word = string.lower()
    if word in ("y", "yes", "1", "true"):
        return True
    if word in ("n", "no", "0", "false"):
        return False
    raise ValueError("Invalid value for to_boolean: %s" % string)


def to_filemode(input):
    return input if type(input) is int else int(input, 8)


def prune_suffix(var, suffixes, d):
    for suffix in suffixes:
        if suffix and var.endswith(suffix):
            return var[:-len(suffix)]
    return var


def get_collection_res(d):
    return {c: d.getVar("BBFILE_PATTERN_" + c) or "" for c in (d.getVar("BBFILE_COLLECTIONS") or "").split()}


def get_file_layer(filename, d, collection_res={}):
    patterns = collection_res or get_collection_res(d)

    def layer(path):
        length, found = 0, None
        for collection, pattern in patterns.items():
            if len(pattern) > length and re.match(pattern, path):
                length, found = len(pattern), collection
        return found

    for entry in (d.getVar("BBFILES_PRIORITIZED") or "").split():
        if fnmatch.fnmatchcase(filename, entry):
            return layer(entry)
    return layer(filename)


_SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?$")


def is_semver(version):
    return _SEMVER.match(version) is not None


def cpu_count():
    return len(os.sched_getaffinity(0))
