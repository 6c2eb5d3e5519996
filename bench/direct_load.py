"""Clients that send photos to Cloudinary themselves, with forms that hopla signs. (Run by a figure.)

Otherwise as those of bench/load.py, with one connection more for each client, to the stand-in for Cloudinary at
`cloud_port`.
"""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.load import BOUNDARY, Clients, Connection, Work


@dataclass(frozen=True)
class DirectWork(Work):
    cloud_port: int = 0


class DirectClients(Clients):
    """`milliseconds` are from the request for a form until Cloudinary's answer."""

    def _client(self) -> None:
        hopla, cloud = Connection(self.work.port), Connection(self.work.cloud_port)
        for request in self._requests():
            started = time.monotonic()
            status = hopla.exchange(request)
            if status == 201:
                status = cloud.exchange(self._upload(json.loads(hopla.body)["upload"]))
            with self._lock:
                self.answers[status] += 1
                if status == 200:
                    self.milliseconds.append(round((time.monotonic() - started) * 1000, 2))

    def _post(self, ticket: int) -> bytes:
        body = json.dumps({"filename": "a.jpg", "content_type": "image/jpeg", "size": self.work.photo_bytes}).encode()
        kind = {"Content-Type": "application/json", "Content-Length": len(body)}
        return self._head("POST", f"/api/v1/tickets/{ticket}/direct-uploads/", **kind) + body

    def _upload(self, form: dict) -> bytes:
        parts = [
            BOUNDARY + f'\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in form["fields"].items()
        ]
        parts.append(BOUNDARY + b'\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n')
        body = b"".join([*parts, b"Content-Type: image/jpeg\r\n\r\n", self._photo(), b"\r\n", BOUNDARY, b"--\r\n"])
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY[2:].decode()}", "Content-Length": len(body)}
        return self._head("POST", urlsplit(form["url"]).path, **kind) + body


def run_direct_load(**work) -> dict:
    """Runs these clients in a process of their own, and returns what they saw."""
    root = Path(__file__).resolve().parent.parent
    asked = json.dumps(asdict(DirectWork(**work)))
    command = [sys.executable, "-m", "bench.direct_load"]
    answer = subprocess.run(command, cwd=root, input=asked, text=True, capture_output=True)
    if answer.returncode:
        raise RuntimeError(f"The load failed:\n{answer.stderr}")
    seen = json.loads(answer.stdout)
    if not seen["milliseconds"]:
        raise RuntimeError(f"Nothing but these answers came (number by status): {seen['answers']}")
    return seen


if __name__ == "__main__":
    clients = DirectClients(DirectWork(**json.load(sys.stdin)))
    seconds = clients.run()
    json.dump({"seconds": seconds, "answers": clients.answers, "milliseconds": clients.milliseconds}, sys.stdout)
