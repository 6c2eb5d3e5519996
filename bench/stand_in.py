"""A cheap Cloudinary: it responds to every upload after a delay and keeps nothing. (Run by a figure.)

apps/sandbox checks signatures and pictures and would itself be the limit here; this one only reads the photo and
answers with its size and md5, as hopla compares them. Where the form names an address for it, it is also notified, over
a few connections that are kept. Prints its port.
"""

import argparse
import asyncio
import hashlib
import json
import re
import secrets
import time
from urllib.parse import urlsplit

CONTENT_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
BOUNDARY = re.compile(rb"boundary=\"?([^\s\";]+)")
PUBLIC_ID = re.compile(rb'name="public_id"\r\n\r\n([^\r]+)')
NOTIFICATION_URL = re.compile(rb'name="notification_url"\r\n\r\n([^\r]+)')
SECRET = b"secret"
NOTIFIERS = 16


class Upload(asyncio.Protocol):
    def __init__(self, latency_seconds: float, notifications: asyncio.Queue):
        self.latency_seconds = latency_seconds
        self.notifications = notifications
        self.received = bytearray()
        self.needed = None  # bytes of head and body together, once the head is here

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.received += data
        if self.needed is None and (end := self.received.find(b"\r\n\r\n")) >= 0:
            self.head = bytes(self.received[:end])
            self.needed = end + 4 + int(CONTENT_LENGTH.search(self.head)[1])
        if self.needed is not None and len(self.received) >= self.needed:
            answer = self.answer(memoryview(self.received)[len(self.head) + 4 : self.needed])
            self.received, self.needed = bytearray(), None
            asyncio.get_running_loop().call_later(self.latency_seconds, self.transport.write, answer)

    def answer(self, body: memoryview) -> bytes:
        fields = bytes(body[:8192])  # the file is the last part, after the short ones
        start = fields.index(b"\r\n\r\n", fields.index(b'name="file"')) + 4
        photo = body[start : len(body) - len(b"\r\n----\r\n") - len(BOUNDARY.search(self.head)[1])]
        named = PUBLIC_ID.search(fields)
        public_id = named[1].decode() if named else secrets.token_hex(10)
        url = f"https://res.cloudinary.com/sandbox/image/upload/v1/{public_id}.jpg"
        described = {
            "asset_id": secrets.token_hex(16),
            "public_id": public_id,
            "version": 1,
            "format": "jpg",
            "width": 64,
            "height": 48,
            "resource_type": "image",
            "type": "upload",
            "bytes": len(photo),
            "etag": hashlib.md5(photo, usedforsecurity=False).hexdigest(),
            "url": url,
            "secure_url": url,
        }
        if url := NOTIFICATION_URL.search(fields):
            told = {"notification_type": "upload"} | described
            self.notifications.put_nowait((url[1].decode(), json.dumps(told).encode()))
        content = json.dumps(described).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        return head.encode() + content


async def notify(notifications: asyncio.Queue) -> None:
    """Post one after the other, each until it is answered with 200."""
    writer = None
    while True:
        url, body = await notifications.get()
        address = urlsplit(url)
        moment = str(int(time.time())).encode()
        signature = hashlib.sha1(body + moment + SECRET, usedforsecurity=False).hexdigest()
        head = (
            f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
            f"X-Cld-Timestamp: {moment.decode()}\r\nX-Cld-Signature: {signature}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection(address.hostname, address.port)
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(CONTENT_LENGTH.search(answer)[1]))
            is_over, is_kept = b" 200 " in answer[:20], b"connection: close" not in answer.lower()
        except (OSError, asyncio.IncompleteReadError):
            is_over = is_kept = False
        if not is_kept and writer is not None:
            writer.close()
            writer = None
        if not is_over:
            notifications.put_nowait((url, body))
            await asyncio.sleep(0.05)


async def serve(latency_seconds: float) -> None:
    loop, notifications = asyncio.get_running_loop(), asyncio.Queue()
    notifiers = [asyncio.create_task(notify(notifications)) for _ in range(NOTIFIERS)]
    server = await loop.create_server(lambda: Upload(latency_seconds, notifications), "127.0.0.1", 0, backlog=1024)
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.gather(server.serve_forever(), *notifiers)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=0.2, help="seconds")
    asyncio.run(serve(parser.parse_args().latency))
