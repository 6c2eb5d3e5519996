"""Hosts of their own for hopla's processes, as far as one machine has them: a host name and a network for each.

Such a network (a namespace of Linux') has nothing but its own loopback. What all hosts share comes in by Unix sockets:
Redis and PostgreSQL listen on one anyway, the sandbox's is made here. A host that is killed loses all at once.
"""

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path

PIECE_BYTES = 64 * 1024
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1  # of <linux/sockios.h> and <linux/if.h>


@cache
def can_be_separated() -> bool:
    """Root may; others where the system lets everyone make namespaces."""
    if not shutil.which("unshare"):
        return False
    return subprocess.run([*_unshare(), "true"], capture_output=True).returncode == 0


def _unshare() -> list[str]:
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *as_root, "--net", "--uts"]


def on_host(name: str, command: list, *, gate: Path, port: int) -> list:
    """The command that runs `command` there. On its loopback, `port` leads to what `gate` leads to."""
    return [*_unshare(), sys.executable, "-m", "tests.faults.hosts", name, gate, port, *command]


class Gate:
    """The Unix socket at `path` leads to `port` of this host, inside the block."""

    def __init__(self, path: Path, *, port: int):
        self.path, self._port = path, port

    def __enter__(self) -> "Gate":
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(256)
        connect = lambda: socket.create_connection(("127.0.0.1", self._port))  # noqa: E731
        threading.Thread(target=pass_on, args=(self._listener, connect), daemon=True).start()
        return self

    def __exit__(self, *exc_info) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def pass_on(listener: socket.socket, connect) -> None:
    """Each client of the listener to a connection of its own, until the listener is closed."""
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_both_ways, args=(client, connect), daemon=True).start()


def _both_ways(client: socket.socket, connect) -> None:
    with client, suppress(OSError), connect() as server:
        back = threading.Thread(target=_one_way, args=(server, client), daemon=True)
        back.start()
        _one_way(client, server)
        back.join()


def _one_way(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(PIECE_BYTES):
            sink.sendall(piece)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def main(name: str, gate: str, port: str, *command: str) -> None:
    socket.sethostname(name)
    bring_loopback_up()
    listener = socket.create_server(("127.0.0.1", int(port)), backlog=256)
    end, held_by_command = os.pipe()
    if os.fork() == 0:
        os.close(held_by_command)
        threading.Thread(target=pass_on, args=(listener, lambda: _connected_to(gate)), daemon=True).start()
        os.read(end, 1)  # until the command has ended
        os._exit(0)
    listener.close()
    os.set_inheritable(held_by_command, True)
    os.execv(command[0], command)


def bring_loopback_up() -> None:
    request = struct.Struct("16sh14x")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, SIOCGIFFLAGS, request.pack(b"lo", 0))
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, request.pack(b"lo", request.unpack(answer)[1] | IFF_UP))


def _connected_to(gate: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(gate)
    return connection


if __name__ == "__main__":
    main(*sys.argv[1:])
