# SPDX-License-Identifier: MIT
"""Frames on two pipes: four bytes of length, then a tuple in marshal's format, version 2."""

import marshal
import os
import threading

lock = threading.RLock()
stream = None
handle = None  # carries out a request that arrives while a call waits for its reply
forked = False


class Error(Exception):
    """A call went wrong on the other side."""

    def __init__(self, kind, text, token):
        super().__init__(text)
        self.kind, self.text, self.token = kind, text, token


def after_fork():
    global forked
    forked = True
    for fd in (3, 4):
        try:
            os.close(fd)
        except OSError:
            pass


def send(message):
    if forked:
        raise RuntimeError("d and bb's messages are not available in a process that was forked while metadata is parsed")
    data = marshal.dumps(message, 2)
    data = len(data).to_bytes(4, "little") + data
    while data:
        data = data[os.write(4, data):]


def receive():
    head = stream.read(4)
    if len(head) < 4:
        die()
    size = int.from_bytes(head, "little")
    data = stream.read(size)
    if len(data) < size:
        die()
    return marshal.loads(data)


def die():
    """The other side is gone: nothing that was started here stays."""
    import signal
    try:
        os.killpg(0, signal.SIGKILL)
    finally:
        os._exit(0)


def call(*message):
    with lock:
        send(message)
        while True:
            answer = receive()
            if answer[0] == "reply":
                return answer[1]
            if answer[0] == "error":
                raise Error(*answer[1:])
            handle(answer)
