"""Send real photographs of every kind through a running hopla, and check each response against the contract.

    .venv/bin/python bench/first_ticket.py [--url http://127.0.0.1:8000] [--token TOKEN] [--fetch]

Two tickets, one by multipart forms and one by bare bytes: each photo is posted, watched until it is stored, and the
ticket must be `completed` after the last and not before. Then what must be refused. Exits with 1 when anything differs.
"""

import argparse
import sys
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.client import Answer, Client
from tests.photographs import Photograph, photographs

STORED_WITHIN_SECONDS = 60
LOOK_EVERY_SECONDS = 0.02
ROW = "{:<49.49} {:<9} {:>8}  {:<22} {:<8} {:>8}"

wrong: list[str] = []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="default: %(default)s")
    parser.add_argument("--token", help="of the user to act for; default: a new user is registered")
    parser.add_argument("--fetch", action="store_true", help="also fetch each stored photo from its url, and compare")
    options = parser.parse_args()
    client = Client(options.url, token=options.token)
    if not options.token:
        client = client.registered()
    photos = photographs()
    print(ROW.format("file", "sent as", "bytes", "answer", "status", "stored s"))
    for bare in (False, True):
        fill_ticket(client, photos, bare=bare, fetch=options.fetch)
    refuse(client, photos[0].read())
    print("", *wrong, f"{len(wrong)} deviations from the contract", sep="\n")
    return int(bool(wrong))


def expect(holds: bool, otherwise: str) -> None:
    if not holds:
        wrong.append(f"WRONG: {otherwise}")


# --- What is accepted ---


def fill_ticket(client: Client, photos: list[Photograph], *, bare: bool, fetch: bool) -> None:
    """Post one photo after the other and watch each to its end."""
    ticket = open_ticket(client, num_images=len(photos))
    expect(ticket["status"] == "pending", f"ticket {ticket['id']} begins as {ticket['status']}")
    for count, photo in enumerate(photos, start=1):
        answer, image = send(
            client, ticket, photo.read(), photo.name, bare_as=f"image/{photo.format}" if bare else None
        )
        expect_described(photo, answer)
        expect_ticket(client, ticket, stored=count)
        if fetch and image.get("url"):
            with urllib.request.urlopen(image["url"], timeout=30) as delivered:
                expect(delivered.read() == photo.read(), f"{image['url']} does not deliver what was sent")
    detail = client.get(f"tickets/{ticket['id']}/").body
    stored_at = [image["stored_at"] or "" for image in detail["images"]]
    expect((detail["completed_at"] or "") >= max(stored_at), f"ticket {ticket['id']}: completed before its last photo")


def send(client: Client, ticket: dict, content: bytes, what: str, *, bare_as: str | None = None) -> tuple[Answer, dict]:
    """Post it as photo.jpg, watch it if it was accepted, and print a row: the response, and the final image."""
    started = time.monotonic()
    answer = client.post_photo(ticket["id"], content, filename="photo.jpg", bare_as=bare_as)
    image = watch(client, answer.headers["Location"]) if answer.status == 202 else {}
    seconds = f"{time.monotonic() - started:.2f}" if image else ""
    way = "bare" if bare_as else "multipart"
    print(ROW.format(what, way, len(content), str(answer), image.get("status", ""), seconds), flush=True)
    expect(not image or image["status"] == "stored", f"{what} ended {image.get('status')}: {image.get('error')}")
    return answer, image


def open_ticket(client: Client, *, num_images: int) -> dict:
    answer = client.post_json("tickets/", {"num_images": num_images})
    if answer.status != 201:
        sys.exit(f"No ticket could be opened: {answer.status} {answer.body}")
    return answer.body


def watch(client: Client, image_url: str) -> dict:
    """The image once it is stored or failed, or as it is when that takes too long."""
    deadline = time.monotonic() + STORED_WITHIN_SECONDS
    while True:
        image = client.get(image_url).body
        if image["status"] in ("stored", "failed") or time.monotonic() > deadline:
            return image
        time.sleep(LOOK_EVERY_SECONDS)


def expect_described(photo: Photograph, answer: Answer) -> None:
    fields = {"format": photo.format, "width": photo.width, "height": photo.height}
    fields |= {"size": photo.bytes, "sha256": photo.sha256}
    seen = {name: answer.body.get(name) for name in fields}
    expect(answer.status == 202 and seen == fields, f"{photo.name} was answered {answer} {seen} instead of {fields}")


def expect_ticket(client: Client, ticket: dict, *, stored: int) -> None:
    """Called after an image was seen `stored`: the ticket counts it, and is completed with the last one, not before."""
    seen = client.get(ticket["status_url"]).body
    status = "completed" if stored == ticket["num_images"] else "in_progress"
    right = (seen["status"], seen["progress"]["stored"]) == (status, stored)
    expect(right, f"ticket {ticket['id']} with {stored} of {ticket['num_images']} photos stored says {seen}")


# --- What is refused ---


def refuse(client: Client, jpeg: bytes) -> None:
    """Files that are no photos do not take the one place of a ticket. One photo then does, and a second is refused."""
    not_photos = {
        "a text": b"Dear Sir or Madam, please find enclosed a photo of the front door.\n" * 9,
        "a JPEG cut off in its header": jpeg[:300],
        "an SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"><rect width="9" height="9"/></svg>',
        "a PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<</Type /Catalog>>\nendobj\ntrailer\n<</Root 1 0 R>>\n%%EOF\n",
        "HTML with a JPEG's first bytes": b"\xff\xd8\xff\xe0<html><script>alert(1)</script></html>",
        "HTML with a GIF's first bytes": b"GIF89a<html><script>alert(1)</script></html>",
        "an empty file": b"",
    }
    ticket = open_ticket(client, num_images=1)
    for what, content in not_photos.items():
        for bare_as in (None, "image/jpeg"):
            answer, _ = send(client, ticket, content, f"{what}, called photo.jpg", bare_as=bare_as)
            refusal = "415 unsupported_image" if content else "400 image_empty"
            expect(str(answer) == refusal, f"{what} was answered {answer} instead of {refusal}")
    left = client.get(ticket["status_url"]).body["progress"]["remaining"]
    expect(left == 1, f"of one place {left} are left after nothing but refusals")
    answer, _ = send(client, ticket, jpeg, "a photo for the one place")
    expect(answer.status == 202, f"the photo for the one place was answered {answer}")
    answer, _ = send(client, ticket, jpeg, "a photo too many")
    expect(str(answer) == "409 ticket_completed", f"a photo for a completed ticket was answered {answer}")


if __name__ == "__main__":
    sys.exit(main())
