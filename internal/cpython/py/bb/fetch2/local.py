# SPDX-License-Identifier: MIT
"""What metadata asks of fetchers while it is parsed, as far as it needs neither network nor clones: where files lie or will
lie, and the commit that SRCREV names. The rest is BitBake's own library's, if there is one."""

import os
import re
import sys
import urllib.parse

import bb


def _real(attr):
    """BitBake's own implementation, or a refusal."""
    module = sys.modules["bb.fetch2"]
    real = module.__spec__.loader.load_real("bb.fetch2")
    if real is None:
        raise NotImplementedError("n3x has no bb.fetch2.%s for this, and there is no BitBake library on disk" % attr)
    return getattr(real, attr)


class FetchData:
    """One URL, with the parts of it and the file that it stands for."""

    def __init__(self, url, d):
        self.url = d.expand(url)
        self.type, self.host, self.path, self.user, self.pswd, self.parm = bb.fetch2.decodeurl(self.url)
        if self.type == "file":
            self.localpath = self._file(d)
        else:
            self._download(d)

    def _file(self, d):
        self.decodedurl = self.path
        self.basepath = self.path
        self.basename = os.path.basename(self.path)
        if self.path.startswith("/"):
            return self.path
        found, tried = bb.utils.which(d.getVar("FILESPATH"), self.path, history=True)
        return found or tried[-1]

    def _download(self, d):
        if self.parm.get("protocol") == "git":
            raise bb.fetch2.ParameterError("Invalid protocol - if you wish to fetch from a git repository using http, you need to instead use the git:// prefix with protocol=http", self.url)
        self.basename = self.parm.get("downloadfilename", os.path.basename(self.path))
        self.localfile = d.expand(urllib.parse.unquote(self.basename))
        if not self.localfile:
            self.localfile = d.expand(urllib.parse.unquote(self.host + self.path).replace("/", "."))
        self.localpath = os.path.join(d.getVar("DL_DIR"), self.localfile)


class Fetch:
    """Knows the files of URLs. It fetches nothing: n3x has fetchers of its own."""

    def __new__(cls, urls, d, *args, **kwargs):
        if args or kwargs or not all(re.match("(file|https?|ftps?)://", u) and "localpath=" not in u for u in urls or d.getVar("SRC_URI").split()):
            return _real("Fetch")(urls, d, *args, **kwargs)
        return super().__new__(cls)

    def __init__(self, urls, d):
        self.urls = urls or d.getVar("SRC_URI").split()
        self.d = d
        self.ud = {url: FetchData(url, d) for url in self.urls}

    def localpath(self, url):
        if url not in self.ud:
            self.ud[url] = FetchData(url, self.d)
        return self.ud[url].localpath

    def localpaths(self):
        return [self.ud[url].localpath for url in self.urls]

    def get_urls(self):
        return self.urls

    def _refuse(self, *args, **kwargs):
        raise NotImplementedError("n3x fetches sources itself: bb.fetch2.Fetch only tells where files are")

    download = unpack = checkstatus = clean = expanded_urldata = _refuse


NO_REPOSITORY = "SRCREV was used yet no valid SCM was found in SRC_URI"


def get_autorev(d):
    if d.getVar("BB_SRCREV_POLICY") != "cache":
        d.setVar("BB_DONT_CACHE", "1")
    d.setVar("__BBAUTOREV_SEEN", True)
    return "AUTOINC"


def get_srcrev(d, method_name="sortable_revision"):
    if d.getVar("__BBINSRCREV"):
        raise bb.fetch2.FetchError("There are recursive references in fetcher variables, likely through SRC_URI")
    repositories = _repositories(d.getVar("SRC_URI").split())
    if repositories is None or len(repositories) > 1 or method_name not in ("sortable_revision", "gitpkgv_revision"):
        return _real("get_srcrev")(d, method_name)
    d.setVar("__BBSRCREV_SEEN", "1")
    d.setVar("__BBINSRCREV", True)
    if not repositories:
        d.delVar("__BBINSRCREV")
        raise bb.fetch2.FetchError(NO_REPOSITORY)
    revision = _revision(repositories[0], d, method_name)
    d.delVar("__BBINSRCREV")
    return "AUTOINC+" + revision[:10] if revision else _real("get_srcrev")(d, method_name)


def _repositories(urls):
    """The git URLs; None when another fetcher may have revisions, too."""
    found = []
    for url in urls:
        if url.startswith("git://"):
            if url not in found:
                found.append(url)
        elif not re.match("(file|https?|ftp|apt)://", url) or "protocol=" in url:
            return None
    return found


def _revision(url, d, method):
    """The commit that SRCREV names, or None when a repository has to be asked."""
    kind, host, path, user, password, params = bb.fetch2.decodeurl(url)
    name, protocol = params.get("name", "default"), params.get("protocol", "git" if host else "file")
    if "," in name + params.get("branch", "") or "branch" not in params and params.get("nobranch") != "1" or host == "github.com" and protocol == "git":
        return None
    if method == "gitpkgv_revision":
        folder = (d.getVar("GITDIR") or (d.getVar("DL_DIR") or "") + "/git2") + "/" + re.sub(r"[ ()]", "_", host.replace(":", ".") + re.sub("[/*]", ".", path)).lstrip(".")
        if os.path.exists(folder):
            return None
    pn = d.getVar("PN")
    names = ["SRCREV_" + name, "SRCREV"]
    if pn:
        names = ["SRCREV_%s:pn-%s" % (name, pn), "SRCREV_" + name, "SRCREV:pn-" + pn, "SRCREV"]
    for one in names:
        revision = d.getVar(one)
        if revision and revision != "INVALID":
            return revision if re.fullmatch("[0-9a-f]{40}", revision) else None
    return None
