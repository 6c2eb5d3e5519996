"""A client that sends photos one after the other and does not give up. (Run by a figure.)

What to do comes as one JSON object on the standard input (see Work). It ends when the ticket is complete, or its time
over.
"""

import json
import random
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import requests

from bench.load import small_jpeg

PAUSE_SECONDS = 0.05  # before it tries again
POLL_EVERY_SECONDS = 0.1
TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Work:
    url: str
    way: str  # of WAYS
    token: str
    ticket: int
    photos: int
    photo_bytes: int
    seconds: float
    folder: str  # for the photos

    @property
    def ticket_url(self) -> str:
        return f"{self.url}/api/v1/tickets/{self.ticket}/"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Token {self.token}"}


def send_whole(work: Work, photo: Path) -> None:
    headers = work.headers | {"Idempotency-Key": str(uuid.uuid4())}
    while True:
        try:
            with photo.open("rb") as content:
                answer = requests.post(
                    f"{work.ticket_url}images/", files={"image": content}, headers=headers, timeout=TIMEOUT_SECONDS
                )
            if answer.status_code == 202:
                return
        except requests.RequestException:
            pass
        time.sleep(PAUSE_SECONDS)


def send_by_tus(work: Work, photo: Path) -> None:
    from tusclient.client import TusClient
    from tusclient.exceptions import TusCommunicationError

    client = TusClient(f"{work.ticket_url}uploads/", work.headers | {"Idempotency-Key": str(uuid.uuid4())})
    uploader = client.uploader(str(photo), retries=sys.maxsize, retry_delay=PAUSE_SECONDS)
    while not uploader.url:
        try:
            uploader.set_url(uploader.create_url())
        except TusCommunicationError:
            time.sleep(PAUSE_SECONDS)
    uploader.upload()


WAYS = {"plain": send_whole, "tus": send_by_tus}


def run(work: Work) -> None:
    picture, dice = small_jpeg(), random.Random(1)
    photos = [Path(work.folder) / f"{number}.jpg" for number in range(work.photos)]
    for photo in photos:
        photo.write_bytes(picture + dice.randbytes(work.photo_bytes - len(picture)))
    give_up_at = time.monotonic() + work.seconds
    sending = threading.Thread(target=lambda: [WAYS[work.way](work, photo) for photo in photos], daemon=True)
    sending.start()
    sending.join(work.seconds)
    while time.monotonic() < give_up_at and not is_complete(work):
        time.sleep(POLL_EVERY_SECONDS)


def is_complete(work: Work) -> bool:
    try:
        answer = requests.get(f"{work.ticket_url}status/", headers=work.headers, timeout=TIMEOUT_SECONDS)
        return answer.json()["status"] == "completed"
    except (requests.RequestException, ValueError):
        return False


if __name__ == "__main__":
    run(Work(**json.load(sys.stdin)))
