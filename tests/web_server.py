"""hopla under its real web server, in a process of its own, and clients that send what they like when they like."""

import http.client
import os
import re
import socket
import sys
from contextlib import contextmanager, suppress

from script import servers
from tests.faults.processes import Processes
from tests.faults.proxies import unread_bytes, unsent_bytes


@contextmanager
def running_web_server(application: str = "hopla.wsgi", *, port: int = 0, **environment: str):
    """The (host, port) of a gunicorn with our configuration, on the database and the Redis of this test process."""
    with running_web_process(application, port=port, **environment) as (_, address):
        yield address


@contextmanager
def running_web_process(application: str = "hopla.wsgi", *, port: int = 0, **environment: str):
    """Likewise, with its Process before the address, to be killed. `port` 0: a free one."""
    bind = ["--bind", f"127.0.0.1:{port}"]
    gunicorn = [sys.executable, "-m", "gunicorn", "--config", "hopla/gunicorn_conf.py", *bind]
    with servers.private_folder() as folder, Processes(folder) as processes:
        environment = os.environ | {"WEB_CONCURRENCY": "1"} | environment
        web = processes.start("web", [*gunicorn, application], env=environment)
        listening = r"Listening at: http://(127\.0\.0\.1):(\d+)"
        processes.wait_until(lambda: re.search(listening, web.output), child=web)
        host, port = re.search(listening, web.output).groups()
        yield web, (host, int(port))


def tell_process(environ, start_response):
    """An application that returns the process it runs in."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


class RawClient:
    """One connection on which a request is sent as bytes, piece by piece."""

    def __init__(self, address: tuple[str, int]):
        self._socket = socket.create_connection(address, timeout=60)
        self.seen = b""

    def send_head(self, method: str, path: str, body: bytes = b"", **headers) -> None:
        """And, at once with it, what has come of the body: no pause of this process is taken for a slow client's."""
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items() if value is not None]
        self.send("\r\n".join([*lines, "", ""]).encode() + body)

    def send(self, piece: bytes) -> None:
        self._socket.sendall(piece)

    def is_read(self) -> bool:
        """Whether the server's program has read all that was sent."""
        return not unsent_bytes(self._socket) and not unread_bytes(self._socket)

    def answer(self) -> http.client.HTTPResponse:
        response = http.client.HTTPResponse(self._socket)
        response.begin()
        return response

    def has_answer(self) -> bool:
        self._socket.setblocking(False)
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False
        finally:
            self._socket.settimeout(60)

    def is_ended_after(self, piece: bytes) -> bool:
        """Sends it, if anyone takes it; whether the server has ended the connection. What it has sent is in `seen`."""
        self._socket.setblocking(False)
        try:
            if piece:
                with suppress(OSError):  # what was sent before the end can still be read
                    self._socket.send(piece)
            portion = self._socket.recv(65536)
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            self._socket.settimeout(60)
        self.seen += portion
        return not portion

    def end_sending(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._socket.close()
