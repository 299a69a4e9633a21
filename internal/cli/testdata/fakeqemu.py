#!/usr/bin/env python3
"""Stands in for QEMU and the system in it, for tests of n3x vm: QMP, a console with a login prompt, an agent that starts n3x's
session helper on this host, and a pseudo-terminal as the helper's port."""
import base64, json, os, pty, re, socket, subprocess, sys, tempfile, threading, tty

if "kvm" in sys.argv:
    sys.exit("no KVM here")
sockets = {}
for word in sys.argv:
    found = re.match(r"socket,id=(\w+),fd=(\d+)", word)
    if found:
        sockets[found.group(1)] = socket.socket(fileno=int(found.group(2)))
master, slave = pty.openpty()
tty.setraw(slave)
port = os.ttyname(slave)
helper = None
errors = tempfile.TemporaryFile()


def lines(s):
    rest = b""
    while data := s.recv(65536):
        *whole, rest = (rest + data).split(b"\n")
        yield from whole


def qmp(s):
    s.sendall(b'{"QMP": {}}\n')
    for line in lines(s):
        ask = json.loads(line)
        answer = {}
        if ask["execute"] == "query-status":
            answer = {"status": "running"}
        if ask["execute"] == "query-chardev":
            answer = [{"label": "channel1", "frontend-open": helper is not None and helper.poll() is None}]
        s.sendall(json.dumps({"return": answer, "id": ask.get("id")}).encode() + b"\n")
        if ask["execute"] in ("quit", "system_powerdown"):
            if helper:
                helper.kill()
            os._exit(0)


def agent(s):
    global helper
    for line in lines(s):
        mark = b"\xff" if b"\xff" in line else b""
        line = line.split(b"\xff")[-1]
        if not line:
            continue
        ask = json.loads(line)
        args = ask.get("arguments", {})
        answer = {}
        if ask["execute"] == "guest-sync-delimited":
            answer = args["id"]
        if ask["execute"] == "guest-exec":
            script = tempfile.TemporaryFile()
            script.write(base64.b64decode(args["input-data"]))
            script.seek(0)
            words = [w.replace("/dev/virtio-ports/n3x.session", port) for w in args["arg"]]
            helper = subprocess.Popen([args["path"], *words], stdin=script, stdout=subprocess.DEVNULL, stderr=errors)
            answer = {"pid": helper.pid}
        if ask["execute"] == "guest-exec-status":
            status = helper.poll()
            errors.seek(0)
            answer = {"exited": status is not None, "exitcode": status or 0, "err-data": base64.b64encode(errors.read()).decode()}
        s.sendall(mark + json.dumps({"return": answer}).encode() + b"\n")


def console(s):
    s.sendall(b"Debian GNU/Linux fake ttyS0\r\n\r\nfake login: ")
    while data := s.recv(100):
        s.sendall(data.replace(b"\r", b"\r\nfake login: "))


def up(s):
    while True:
        s.sendall(os.read(master, 65536))


def down(s):
    while data := s.recv(65536):
        while data:
            data = data[os.write(master, data):]


for work, name in ((agent, "channel0"), (console, "serial"), (up, "channel1"), (down, "channel1")):
    threading.Thread(target=work, args=(sockets[name],), daemon=True).start()
qmp(sockets["qmp"])
