# SPDX-License-Identifier: MIT
"""Files and folders."""

import contextlib
import errno
import glob
import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile

import bb

__all__ = ["which", "mkdirhier", "remove", "prunedir", "rename", "copyfile", "movefile", "break_hardlinks", "lockfile", "unlockfile", "fileslocked",
           "md5_file", "sha1_file", "sha256_file", "sha384_file", "sha512_file", "umask", "mkstemp", "path_is_descendant", "is_local_uid",
           "is_path_on_nfs", "nonblockingfd"]


def which(path, item, direction=0, history=False, executable=False):
    tried, found = [], ""
    folders = (path or "").split(":")
    for folder in reversed(folders) if direction else folders:
        candidate = os.path.join(folder, item)
        tried.append(candidate)
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK) if executable else os.path.exists(candidate):
            found = os.path.abspath(candidate) if not os.path.isabs(candidate) else candidate
            break
    return (found, tried) if history else found


def mkdirhier(directory):
    if "${" in str(directory):
        bb.fatal("Directory name %s contains unexpanded bitbake variable. This may cause build failures and WORKDIR polution." % directory)
    os.makedirs(directory, exist_ok=True)


def _guard(path, what):
    home = os.environ.get("HOME", "")
    if re.match("(/|//|/home|/home/[^/]*%s)$" % ("|" + home if home else ""), os.path.abspath(path)):
        raise Exception('bb.utils.%s: called with dangerous path "%s", refusing to delete!' % (what, path))


def remove(path, recurse=False, ionice=False):
    if not path:
        return
    names = glob.glob(path)
    if recurse:
        for name in names:
            _guard(name, "remove")
        subprocess.check_call((["ionice", "-c", "3"] if ionice else []) + ["rm", "-rf"] + names)
        return
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def prunedir(topdir, ionice=False):
    _guard(topdir, "prunedir")
    remove(topdir, recurse=True, ionice=ionice)


def rename(src, dst):
    try:
        os.rename(src, dst)
    except OSError as e:
        if e.errno != errno.EXDEV:
            raise
        shutil.move(src, dst)


def copyfile(src, dest, newmtime=None, sstat=None):
    """Copy a file or symbolic link with its attributes; False when that fails."""
    try:
        info = sstat or os.lstat(src)
        if stat.S_ISLNK(info.st_mode):
            if os.path.lexists(dest) and not (os.path.isdir(dest) and not os.path.islink(dest)):
                os.unlink(dest)
            os.symlink(os.readlink(src), dest)
            os.lchown(dest, info.st_uid, info.st_gid)
            return os.lstat(dest)
        if os.path.islink(dest):
            os.unlink(dest)
        if stat.S_ISREG(info.st_mode):
            shutil.copyfile(src, dest + "#new")
            rename(dest + "#new", dest)
        elif subprocess.call(["/bin/cp", "-f", src, dest]) != 0:
            return False
        os.lchown(dest, info.st_uid, info.st_gid)
        os.chmod(dest, stat.S_IMODE(info.st_mode))
        if newmtime:
            os.utime(dest, (newmtime, newmtime))
        else:
            os.utime(dest, (info.st_atime, info.st_mtime))
            newmtime = info[stat.ST_MTIME]
        return newmtime
    except OSError as e:
        bb.warn("copyfile: copying %s to %s failed (%s)" % (src, dest, e))
        return False


def movefile(src, dest, newmtime=None, sstat=None):
    try:
        info = sstat or os.lstat(src)
        rename(src, os.path.join(dest, os.path.basename(src)) if os.path.isdir(dest) and not os.path.isdir(src) else dest)
    except OSError as e:
        bb.warn("movefile: moving %s to %s failed (%s)" % (src, dest, e))
        return None
    if newmtime:
        os.utime(dest, (newmtime, newmtime))
        return newmtime
    return info[stat.ST_MTIME]


def break_hardlinks(src, sstat=None):
    info = sstat or os.lstat(src)
    return info.st_nlink == 1 or copyfile(src, src, sstat=info)


def lockfile(name, shared=False, retry=True, block=False):
    """An open file that is locked, or None when it is locked by others and must not be waited for."""
    import fcntl
    folder, base = os.path.split(name)
    if len(base) > 255:
        root, ext = os.path.splitext(base)
        base = root[:255 - len(ext)] + ext
    mkdirhier(folder)
    name = os.path.join(folder, base)
    if not os.access(folder, os.W_OK):
        bb.error("Unable to acquire lock '%s', directory is not writable" % name)
        sys.exit(1)
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if retry or block else fcntl.LOCK_NB)
    while True:
        file = open(name, "a+")
        try:
            fcntl.flock(file.fileno(), how)
            if os.path.exists(name) and os.path.samestat(os.fstat(file.fileno()), os.stat(name)):
                return file
        except OSError:
            pass
        file.close()
        if not retry:
            return None


def unlockfile(lf):
    import fcntl
    try:
        fcntl.flock(lf.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(lf.name)
    except OSError:
        pass
    fcntl.flock(lf.fileno(), fcntl.LOCK_UN)
    lf.close()


@contextlib.contextmanager
def fileslocked(files, *args, **kwargs):
    locks = []
    try:
        for name in files or ():
            lock = lockfile(name, *args, **kwargs)
            if lock is not None:
                locks.append(lock)
        yield
    finally:
        for lock in reversed(locks):
            unlockfile(lock)


def _digest(method):
    def of(filename):
        digest = hashlib.new(method, usedforsecurity=False)
        with open(filename, "rb") as f:
            for chunk in iter(lambda: f.read(1 << 16), b""):
                digest.update(chunk)
        return digest.hexdigest()
    of.__name__ = of.__qualname__ = method + "_file"
    return of


md5_file, sha1_file, sha256_file = _digest("md5"), _digest("sha1"), _digest("sha256")
sha384_file, sha512_file = _digest("sha384"), _digest("sha512")


@contextlib.contextmanager
def umask(new_mask):
    before = os.umask(new_mask)
    try:
        yield
    finally:
        os.umask(before)


def mkstemp(suffix=None, prefix=None, dir=None, text=False):
    import random
    import string
    more = "".join(random.choices(string.ascii_letters + string.digits, k=20))
    return tempfile.mkstemp(suffix=suffix, prefix=(prefix or tempfile.gettempprefix()) + more, dir=dir, text=text)


def path_is_descendant(descendant, ancestor):
    top = os.stat(ancestor)
    path = os.path.abspath(descendant).rstrip("/")
    while path:
        if os.path.samestat(os.stat(path), top):
            return True
        path = os.path.dirname(path).rstrip("/")
    return False


def is_local_uid(uid=""):
    with open("/etc/passwd") as f:
        return any(fields[2] == str(uid or os.getuid()) for fields in (line.split(":") for line in f) if len(fields) > 2)


def is_path_on_nfs(path):
    while os.path.isabs(path) and not os.path.exists(path):
        path = os.path.dirname(path)
    return bb.process.run(["stat", "-f", "-c", "%T", path])[0].strip() == "nfs"


def nonblockingfd(fd):
    os.set_blocking(fd, False)
