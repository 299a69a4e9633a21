# SPDX-License-Identifier: MIT
"""The fetcher's URLs. Nothing is fetched from here: n3x does that itself."""

import logging
import re
import sys
import urllib.parse
from collections import OrderedDict

import bb

logger = logging.getLogger("BitBake.Fetcher")
sys.modules["bb.fetch"] = sys.modules["bb.fetch2"]
CHECKSUM_LIST = ["md5", "sha256", "sha1", "sha384", "sha512"] if bb.__version__ < "2.9" and len(bb.__version__.split(".")[1]) == 1 else [
    "goh1", "md5", "sha256", "sha1", "sha384", "sha512"]


class BBFetchException(Exception):
    def __init__(self, message):
        self.msg = message
        super().__init__(message)

    def __str__(self):
        return str(self.msg)


class UntrustedUrl(BBFetchException):
    def __init__(self, url, message=""):
        super().__init__(message or "The URL: '%s' is not trusted and cannot be used" % url)
        self.url, self.args = url, (url,)


class MalformedUrl(BBFetchException):
    def __init__(self, url, message=""):
        super().__init__(message or "The URL: '%s' is invalid and cannot be interpreted" % url)
        self.url, self.args = url, (url,)


class FetchError(BBFetchException):
    def __init__(self, message, url=None):
        super().__init__("Fetcher failure%s: %s" % (" for URL: '%s'" % url if url else "", message))
        self.url, self.args = url, (message, url)


class ChecksumError(FetchError):
    def __init__(self, message, url=None, checksum=None):
        self.checksum = checksum
        super().__init__(message, url)


class NoChecksumError(FetchError):
    pass


class UnpackError(BBFetchException):
    def __init__(self, message, url):
        super().__init__("Unpack failure for URL: '%s'. %s" % (url, message))
        self.url, self.args = url, (message, url)


class NoMethodError(BBFetchException):
    def __init__(self, url):
        super().__init__("Could not find a fetcher which supports the URL: '%s'" % url)
        self.url, self.args = url, (url,)


class MissingParameterError(BBFetchException):
    def __init__(self, missing, url):
        super().__init__("URL: '%s' is missing the required parameter '%s'" % (url, missing))
        self.url, self.missing, self.args = url, missing, (missing, url)


class ParameterError(BBFetchException):
    def __init__(self, message, url):
        super().__init__("URL: '%s' has invalid parameters. %s" % (url, message))
        self.url, self.args = url, (message, url)


class NetworkAccess(BBFetchException):
    def __init__(self, url, cmd):
        super().__init__("Network access disabled through BB_NO_NETWORK (or set indirectly due to use of BB_FETCH_PREMIRRORONLY) but access requested with command %s (for url %s)" % (cmd, url))
        self.url, self.cmd, self.args = url, cmd, (url, cmd)


class NonLocalMethod(Exception):
    pass


class URI:
    """A URL of SRC_URI, with parameters behind semicolons. A file's path may be relative, also behind "//"."""

    _relative_schemes = ["file", "git"]
    _netloc_forbidden = ["file"]

    def __init__(self, uri=None):
        self.scheme = self.userinfo = self.hostname = self._path = ""
        self.port = None
        self.params, self.query = {}, {}
        self.relative = False
        if uri:
            self._read(uri)

    def _read(self, uri):
        uri, _, params = uri.partition(";")
        scheme = urllib.parse.urlparse(uri).scheme
        if scheme not in urllib.parse.uses_netloc:
            urllib.parse.uses_params.append(scheme)
        if scheme in self._netloc_forbidden:
            uri = re.sub("(?<=:)//(?!/)", "", uri, count=1)
        parts = urllib.parse.urlparse(uri)
        self.scheme = parts.scheme
        self.relative = parts.scheme in self._relative_schemes and re.match(r"\w+:(?!//)", uri) is not None
        if not self.relative:
            self.hostname = parts.hostname or ""
            self.port = parts.port
            self.userinfo = (parts.username or "") + (":" + parts.password if parts.password else "")
        self.path = urllib.parse.unquote(parts.path)
        if params:
            self.params = self._param_str_split(params, ";")
        if parts.query:
            self.query = self._param_str_split(parts.query, "&")

    def __str__(self):
        return "".join([
            self.scheme, ":", "" if self.relative else "//", self.userinfo + "@" if self.userinfo else "", self.hostport, self.path_quoted,
            "?" + self._joined(self.query, "&") if self.query else "", ";" + self._joined(self.params, ";") if self.params else ""])

    @staticmethod
    def _param_str_split(string, elmdelim, kvdelim="="):
        found = OrderedDict()
        for item in string.split(elmdelim):
            if item:
                key, sep, value = item.partition(kvdelim)
                found[key] = value if sep else None
        return found

    @staticmethod
    def _joined(values, separator):
        return separator.join("%s=%s" % (k, v) if v else k for k, v in values.items())

    @property
    def hostport(self):
        return "%s:%d" % (self.hostname, self.port) if self.port else self.hostname

    @property
    def path_quoted(self):
        return urllib.parse.quote(self.path)

    @path_quoted.setter
    def path_quoted(self, path):
        self.path = urllib.parse.unquote(path)

    @property
    def path(self):
        return self._path

    @path.setter
    def path(self, path):
        self._path = path
        self.relative = bool(path) and not path.startswith("/")

    @property
    def username(self):
        return self.userinfo.partition(":")[0]

    @username.setter
    def username(self, username):
        password = self.password
        self.userinfo = username + (":" + password if password else "")

    @property
    def password(self):
        return self.userinfo.partition(":")[2]

    @password.setter
    def password(self, password):
        self.userinfo = "%s:%s" % (self.username, password)


def _release():
    return tuple(int(p) for p in bb.__version__.split(".")[:2])


def decodemirrorurl(url):
    """Split a URL that may be a pattern."""
    m = re.match(r"(?P<type>[^:]*)://((?P<user>[^/;]+)@)?(?P<location>[^;]+)(;(?P<parm>.*))?", url)
    if not m or not m.group("location"):
        raise MalformedUrl(url)
    kind, location, user = m.group("type"), m.group("location"), m.group("user") or ""
    host, slash, path = location.partition("/")
    if kind.lower() == "file":
        host, path = "", location
        if user and _release() >= (2, 9):
            path, user = user + "@" + path, ""
    else:
        path = slash + path or "/"
    user, _, password = user.partition(":")
    params = OrderedDict()
    for item in (m.group("parm") or "").split(";"):
        if item:
            if "=" not in item:
                raise MalformedUrl(url, "The URL: '%s' is invalid: parameter %s does not specify a value (missing '=')" % (url, item))
            key, _, value = item.partition("=")
            params[key] = value
    return kind, host, urllib.parse.unquote(path), user, password, params


def decodeurl(url):
    if _release() < (2, 9):
        return decodemirrorurl(url)
    uri = URI(url)
    return uri.scheme, uri.hostport, uri.path or "/", uri.username, uri.password, uri.params


def encodeurl(decoded):
    kind, host, path, user, password, params = decoded
    if not kind:
        raise MissingParameterError("type", "encoded from the data %s" % str(decoded))
    while path and "//" in path:
        path = path.replace("//", "/")
    if _release() < (2, 9):
        login = user + (":" + password if password else "") + "@" if user and kind != "file" else ""
        return "%s://%s%s%s%s" % (kind, login, host if host and kind != "file" else "", urllib.parse.quote(path) if path else "",
                                  "".join(";%s=%s" % (k, v) for k, v in (params or {}).items()))
    uri = URI()
    uri.scheme = kind
    if user and kind != "file":
        uri.username = user
        if password:
            uri.password = password
    if host and kind != "file":
        uri.hostname = host
    if path:
        uri.path = path
        if kind == "file":
            uri.relative = False
    uri.params = params or {}
    return str(uri)


FETCH_EXPORT_VARS = """HOME PATH HTTP_PROXY http_proxy HTTPS_PROXY https_proxy FTP_PROXY ftp_proxy FTPS_PROXY ftps_proxy NO_PROXY no_proxy
    ALL_PROXY all_proxy GIT_PROXY_COMMAND GIT_SSH GIT_SSH_COMMAND GIT_SSL_CAINFO GIT_SMART_HTTP SSH_AUTH_SOCK SSH_AGENT_PID SOCKS5_USER
    SOCKS5_PASSWD DBUS_SESSION_BUS_ADDRESS P4CONFIG SSL_CERT_FILE NODE_EXTRA_CA_CERTS AWS_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
    AWS_ROLE_ARN AWS_WEB_IDENTITY_TOKEN_FILE AWS_DEFAULT_REGION AWS_SESSION_TOKEN GIT_CACHE_PATH REMOTE_CONTAINERS_IPC SSL_CERT_DIR""".split()


def get_fetcher_environment(d):
    found = {}
    origin = d.getVar("BB_ORIGENV", False)
    for name in FETCH_EXPORT_VARS:
        value = d.getVar(name)
        if not value and origin is not None and not isinstance(origin, str):
            value = origin.getVar(name)
        if value:
            found[name] = value
    return found


def mark_recipe_nocache(d):
    if d.getVar("BB_SRCREV_POLICY") != "cache":
        d.setVar("BB_DONT_CACHE", "1")


class FetchMethod:
    """What fetchers of layers derive from. n3x never calls one: it has fetchers of its own."""

    def __init__(self, urls=None):
        self.urls = []

    def supports(self, urldata, d):
        return False

    def recommends_checksum(self, urldata):
        return False

    def need_update(self, ud, d):
        return True

    def supports_srcrev(self):
        return False

    def urldata_init(self, ud, d):
        pass


methods = []  # layers add theirs; kept so that adding works


def runfetchcmd(cmd, d, quiet=False, cleanup=None, log=None, workdir=None, extraenv=None):
    raise NotImplementedError("bb.fetch2.runfetchcmd is not available: n3x fetches sources itself")


from bb.fetch2.local import Fetch, FetchData, get_autorev, get_srcrev  # noqa: E402,F401
