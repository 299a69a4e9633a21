# SPDX-License-Identifier: MIT
"""Programs that metadata runs."""

import signal
import subprocess


class CmdError(RuntimeError):
    def __init__(self, command, msg=None):
        self.command, self.msg = command, msg

    def __str__(self):
        command = self.command if isinstance(self.command, str) else subprocess.list2cmdline(self.command)
        return "Execution of '%s' failed" % command + (": %s" % self.msg if self.msg else "")


class NotFoundError(CmdError):
    def __str__(self):
        return super().__str__() + ": command not found"


class ExecutionError(CmdError):
    def __init__(self, command, exitcode, stdout=None, stderr=None):
        super().__init__(command)
        self.exitcode, self.stdout, self.stderr, self.extra_message = exitcode, stdout, stderr, None

    def __str__(self):
        output = (self.stderr or "") + (self.stdout or "")
        return "%s with exit code %s%s%s" % (super().__str__(), self.exitcode, ":\n" + output if output else "", self.extra_message or "")


def subprocess_setup():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)


class Popen(subprocess.Popen):
    defaults = {"close_fds": True, "preexec_fn": subprocess_setup, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                "stdin": subprocess.PIPE, "shell": False}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **{**self.defaults, **kwargs})


def run(cmd, input=None, log=None, extrafiles=None, **options):
    if extrafiles:
        raise NotImplementedError("n3x has no bb.process.run() with extrafiles")
    if isinstance(cmd, str):
        options.setdefault("shell", True)
    try:
        pipe = Popen(cmd, **options)
    except OSError as e:
        if e.errno == 2:
            raise NotFoundError(cmd)
        raise CmdError(cmd, e)
    stdout, stderr = pipe.communicate(input)
    stdout = stdout if stdout is None else stdout.decode("utf-8")
    stderr = stderr if stderr is None else stderr.decode("utf-8")
    if log:
        log.write((stdout or "") + (stderr or ""))
        log.flush()
    if pipe.returncode != 0:
        raise ExecutionError(cmd, pipe.returncode, *((None, None) if log else (stdout, stderr)))
    return stdout, stderr
