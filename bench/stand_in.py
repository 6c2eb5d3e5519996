"""A cheap Cloudinary: it responds to every upload after a delay and keeps nothing. (Run by a figure.)

apps/sandbox checks signatures and pictures and would itself be the limit here; this one only reads the photo and
answers with its size and md5, as hopla compares them. Prints its port.
"""

import argparse
import asyncio
import hashlib
import json
import re
import secrets

CONTENT_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
BOUNDARY = re.compile(rb"boundary=\"?([^\s\";]+)")
PUBLIC_ID = re.compile(rb'name="public_id"\r\n\r\n([^\r]+)')


class Upload(asyncio.Protocol):
    def __init__(self, latency_seconds: float):
        self.latency_seconds = latency_seconds
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
            "bytes": len(photo),
            "etag": hashlib.md5(photo, usedforsecurity=False).hexdigest(),
            "url": url,
            "secure_url": url,
        }
        content = json.dumps(described).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        return head.encode() + content


async def serve(latency_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Upload(latency_seconds), "127.0.0.1", 0, backlog=1024)
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=0.2, help="seconds")
    asyncio.run(serve(parser.parse_args().latency))
