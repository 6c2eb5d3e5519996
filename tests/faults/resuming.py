"""A client of tus that goes on where its upload broke off, however often that happens."""

import time

import urllib3

from tests.faults.clients import LONGEST_WAIT_SECONDS, Answer, Client, OutOfPatienceError, new_key

PIECES = 3  # that it sends a photo in
LOOK_AGAIN = ("upload_offset_mismatch", "upload_overtaken")  # another device was at it


class ResumingClient(Client):
    """As a Client, whose photos go by tus. With one key they are one upload, also of several devices at once."""

    def post_photo(self, ticket_id, content, *, key=None):
        """The final answer: to the last bytes, to the question whether they have come, or a refusal."""
        self.remember(content)
        key, give_up_at = key or new_key(), time.monotonic() + self.patience_seconds
        while time.monotonic() < give_up_at:
            begun = self._begin(ticket_id, content, key=key)
            if begun.status != 201:
                return begun
            path = begun.headers["Location"].partition("/api/v1/")[2]
            if answer := self._send(path, content, give_up_at=give_up_at):
                if answer.status in (200, 204):
                    self.diary.note_accepted()
                return answer
        raise OutOfPatienceError(f"upload of key {key} to ticket {ticket_id}")

    def _begin(self, ticket_id: int, content: bytes, *, key: str) -> Answer:
        headers = {"Upload_Length": str(len(content)), "Idempotency_Key": key, "Tus_Resumable": "1.0.0"}
        while (begun := self.repeatedly("POST", f"tickets/{ticket_id}/uploads/", **headers)).code in LOOK_AGAIN:
            time.sleep(0.1)
        return begun

    def _send(self, path: str, content: bytes, *, give_up_at: float) -> Answer | None:
        """The final answer; None if there is no such upload any more."""
        while time.monotonic() < give_up_at:
            answer = self.repeatedly("HEAD", path, Tus_Resumable="1.0.0")
            while answer.status in (200, 204):
                offset = int(answer.headers["Upload-Offset"])
                if offset == len(content):
                    return answer
                try:
                    answer = self._send_piece(path, content, offset)
                except urllib3.exceptions.HTTPError:
                    break
            else:
                if answer.status in (404, 410):
                    return None
                if 400 <= answer.status < 500 and answer.code and answer.code not in (*LOOK_AGAIN, "body_too_slow"):
                    return answer
            time.sleep(min(float(answer.headers.get("Retry-After", 0.1)), LONGEST_WAIT_SECONDS))
        raise OutOfPatienceError(path)

    def _send_piece(self, path: str, content: bytes, offset: int) -> Answer:
        piece = content[offset : offset + len(content) // PIECES + 1]
        headers = {"Upload_Offset": str(offset), "Content_Type": "application/offset+octet-stream"}
        return self.once("PATCH", path, piece, Tus_Resumable="1.0.0", **headers)
