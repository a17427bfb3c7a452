"""
What stands between two ends of connections, in a process of its own: it can be killed, and run in another
network namespace. An address is ("unix", path) or ("tcp", "host:port").
"""

import os
import socket
import subprocess
import sys
import threading

from support.private_engine import end_with_parent

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def start_relay(listen, target, enter=()):
    """Its process, which accepts connections; enter is a command before it, such as nsenter's."""
    relay = subprocess.Popen(
        [*enter, sys.executable, "-m", "support.relay", *listen, *target],
        cwd=HERE,
        stdout=subprocess.PIPE,
        preexec_fn=end_with_parent,
    )
    assert relay.stdout.readline() == b"ready\n"
    return relay


def make(kind):
    return socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET)


def address(kind, value):
    host, _, port = value.rpartition(":")
    return value if kind == "unix" else (host, int(port))


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def main(kind, value, to, target):
    server = make(kind)
    server.bind(address(kind, value))
    server.listen(64)
    print("ready", flush=True)
    while True:
        client, _ = server.accept()
        other = make(to)
        other.connect(address(to, target))
        for pair in ((client, other), (other, client)):
            threading.Thread(target=pump, args=pair, daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
