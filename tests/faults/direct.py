"""A client of direct uploads that life treats badly: its posts break off, its answers go astray, it forgets what it has
begun.
"""

import hashlib
import json
import random
import socket
import time
from urllib.parse import urlsplit

import urllib3
from urllib3.filepost import encode_multipart_formdata

from apps.common.http.deadlines import DeadlineHTTPPool, Exchange
from tests.faults.clients import TIMEOUT_SECONDS, Answer, Client, OutOfPatienceError, new_key

POST_SECONDS = 3  # that it gives Cloudinary for an answer
POSTS = 3  # of one form, until it gives up
# What becomes of an upload once its form is there, and how often.
FATES = {
    "confirmed": 8,
    "posted": 4,  # and Cloudinary's answer is not passed on: the client was killed, or thinks it enough
    "posted by two": 1,
    "broken off": 1,
    "never posted": 1,
}
ANNOUNCED_WRONGLY = 0.05
AWAITED_SECONDS = 1, 2, 4, 10  # after one of these what has not come is taken back, and sent anew


class DirectClient(Client):
    """As a Client, whose photos go to Cloudinary by signed forms. Their file names are their md5s, so that it knows
    them again.
    """

    def __init__(self, *args, seed: int | str = 0, **options):
        super().__init__(*args, **options)
        self._dice = random.Random(seed)
        self._cloud = urllib3.PoolManager(maxsize=8, retries=False)
        self._cloud.pool_classes_by_scheme = {"http": DeadlineHTTPPool}

    def post_photo(self, ticket_id, content, *, key=None):
        """The answer to the request for a form; 201 unless the ticket takes no more."""
        self.remember(content)
        key = key or new_key()
        size = len(content) + (random.Random(key).random() < ANNOUNCED_WRONGLY)  # the same for each with this key
        told = {"filename": _name_of(content), "size": size, "md5": hashlib.md5(content).hexdigest()}
        begun = self._post_json(f"tickets/{ticket_id}/direct-uploads/", told, Idempotency_Key=key)
        if begun.status == 201:
            self.diary.note_accepted()
            [fate] = self._dice.choices(list(FATES), list(FATES.values()))
            self._meet(fate, ticket_id, begun.body, content)
        return begun

    def see_to_completion(self, ticket_id, photos):
        give_up_at = time.monotonic() + self.patience_seconds
        until: dict[str, float] = {}
        while (ticket := self.read_ticket(ticket_id))["status"] not in ("completed", "cancelled", "expired"):
            for content in photos.values():
                self._see_to(ticket, content, until)
            if time.monotonic() > give_up_at:
                raise OutOfPatienceError(f"ticket {ticket_id}: {ticket}")
            time.sleep(0.2)
        return ticket

    def _see_to(self, ticket: dict, content: bytes, until: dict[str, float]) -> None:
        """Send this photo anew if it is neither there nor awaited; `until`: of each image, for how long. Those before
        it are taken back first, since one that comes late counts.
        """
        mine = [image for image in ticket["images"] if image["filename"] == _name_of(content)]
        for image in mine:
            if image["status"] == "awaiting_upload":
                patience = self._dice.choice(AWAITED_SECONDS)
                if time.monotonic() < until.setdefault(image["id"], time.monotonic() + patience):
                    return
            elif image["status"] != "failed":
                return
        for image in mine:
            path = f"tickets/{ticket['id']}/direct-uploads/{image['id']}/"
            if self.repeatedly("DELETE", path).status != 204:
                return  # it has come meanwhile
        self.post_photo(ticket["id"], content)

    # --- The form ---

    def _meet(self, fate: str, ticket_id: int, begun: dict, content: bytes) -> None:
        form = begun["upload"]
        if fate == "never posted":
            return
        if fate == "broken off":
            self._break_off(form, content)
            return
        answer = self._post_form(form, content)
        if fate == "posted by two":
            self._post_form(form, content)
        elif fate == "confirmed" and answer is not None:
            told = {name: answer.get(name) for name in ("public_id", "version", "signature")}
            self._post_json(f"tickets/{ticket_id}/images/{begun['image']['id']}/confirm/", told)

    def _post_form(self, form: dict, content: bytes) -> dict | None:
        """Cloudinary's answer, if one came that can be read."""
        for _ in range(POSTS):
            try:
                with Exchange(POST_SECONDS):  # a time-out of urllib3's would never end an answer that drips
                    response = self._cloud.request(form["method"], form["url"], fields=_fields(form, content))
                answer = json.loads(response.data)
            except (urllib3.exceptions.HTTPError, ValueError) as error:
                self.diary.note(f"Cloudinary {type(error).__name__}")
                continue
            self.diary.note(f"Cloudinary {response.status}")
            if response.status == 200:
                return answer if isinstance(answer, dict) else None
        return None

    @staticmethod
    def _break_off(form: dict, content: bytes) -> None:
        """Send the first half, and hang up."""
        body, content_type = encode_multipart_formdata(_fields(form, content))
        address = urlsplit(form["url"])
        head = [f"POST {address.path} HTTP/1.1", f"Host: {address.netloc}"]
        head += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
        with socket.create_connection((address.hostname, address.port), timeout=TIMEOUT_SECONDS) as connection:
            connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body[: len(body) // 2])

    def _post_json(self, path: str, told: dict, **headers) -> Answer:
        return self.repeatedly("POST", path, json.dumps(told).encode(), Content_Type="application/json", **headers)


def _name_of(content: bytes) -> str:
    return f"{hashlib.md5(content).hexdigest()}.jpg"


def _fields(form: dict, content: bytes) -> list[tuple]:
    return [*form["fields"].items(), ("file", ("photo.jpg", content, "image/jpeg"))]
