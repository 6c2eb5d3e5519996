"""The archive of a ticket: its photos, its manifest and the manifest's signature in one zip, made while it is sent.

Nothing is kept: each photo comes from Cloudinary piece by piece and goes on to the client, hashed on the way. Its last
piece is held back until all of it proves to be what hopla accepted, so that no wrong photo ever arrives whole.
"""

import hashlib
import logging
import re
import threading
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from zipstream import ZipStream

from apps.common.api.errors import TemporarilyUnavailableError
from apps.common.http.slow_clients import forget, hang_up, watch
from apps.common.observability import metrics, unforeseen
from apps.tickets.errors import ArchiveBusyError
from apps.tickets.handover.manifest import Manifest
from apps.tickets.models import Image
from apps.tickets.storage.originals import Original, OriginalUnavailableError, open_original

logger = logging.getLogger(__name__)

MANIFEST, SIGNED_MANIFEST = "manifest.json", "manifest.jws"
NAME_LENGTH = 50  # characters of up to four bytes: names of files have at most 255 bytes
EXTENSIONS = {"image/jpeg": "jpg"}

# A client that takes less keeps others from their archives. It may pause so long, and again once it has caught up.
MIN_BYTES_PER_SECOND, PATIENCE_SECONDS = 32 * 1024, 30


class PhotoDiffersError(Exception):
    """What Cloudinary delivers is not the photo that hopla accepted."""


@dataclass(frozen=True)
class Photo:
    """What is needed of a photo to fetch it and to know it again."""

    image_id: str
    public_id: str
    asset_version: int
    asset_format: str
    size: int
    digest: str
    algorithm: str

    @classmethod
    def of(cls, image: Image) -> "Photo":
        return cls(
            image_id=str(image.pk),
            public_id=image.public_id,
            asset_version=image.asset_version,
            asset_format=image.asset_format,
            size=image.size,
            digest=image.sha256 or image.md5,
            algorithm="sha256" if image.sha256 else "md5",  # of a direct upload
        )

    def open(self) -> Original:
        return open_original(public_id=self.public_id, version=self.asset_version, format=self.asset_format)


class Archive:
    """A zip with each manifest and the photos that it names; with several, each in its folder.

    The photos are stored as they are: they would not get smaller, and the length is known before the first byte.
    """

    def __init__(self, manifests: list[Manifest]):
        self._zip = ZipStream(sized=True)
        self._photos: list[Photo] = []
        self._opened: tuple[Photo, Original] | None = None
        for manifest in manifests:
            self._add(manifest, folder=folder_of(manifest.content) if len(manifests) > 1 else "")
        self.tickets = [manifest.content["ticket_id"] for manifest in manifests]

    def __len__(self) -> int:
        return len(self._zip)

    def __iter__(self) -> Iterator[bytes]:
        """Once. Raises PhotoDiffersError or OriginalUnavailableError before the photo in question is whole."""
        return iter(self._zip)

    def open_first(self) -> None:
        """Begin to fetch the first photo: whoever asks learns that there is trouble before an archive has begun."""
        if self._photos:
            self._original_of(self._photos[0])

    def close(self) -> None:
        if self._opened:
            self._opened[1].close()
            self._opened = None

    def _add(self, manifest: Manifest, *, folder: str) -> None:
        self._zip.add(manifest.canonical, folder + MANIFEST)
        self._zip.add(manifest.signed, folder + SIGNED_MANIFEST)
        for described, image in zip(manifest.content["photos"], manifest.images, strict=True):
            photo = Photo.of(image)
            self._photos.append(photo)
            self._zip.add(self._pieces_of(photo), folder + name_of(described), size=photo.size)

    def _pieces_of(self, photo: Photo) -> Iterator[bytes]:
        received, held_back = 0, b""
        digest = hashlib.new(photo.algorithm, usedforsecurity=False)
        for piece in self._original_of(photo).pieces():
            received += len(piece)
            if received > photo.size:
                break
            digest.update(piece)
            if held_back:
                yield held_back
            held_back = piece
        if (received, digest.hexdigest()) != (photo.size, photo.digest):
            raise PhotoDiffersError(
                f"{photo.image_id} has another size or {photo.algorithm} at Cloudinary than it came with"
            )
        yield held_back
        self.close()

    def _original_of(self, photo: Photo) -> Original:
        if self._opened is None or self._opened[0] is not photo:
            self.close()
            self._opened = photo, photo.open()
        return self._opened[1]


def name_of(photo: dict) -> str:
    """Of a photo that a manifest describes: its place, its slot or its own name, and an ending by what it is, such as
    `003-kitchen.jpg`. No system takes it for a path, and no two photos of a ticket share one.
    """
    own = photo["slot"] or photo["filename"].rpartition(".")[0] or photo["filename"]
    safe = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", own))[:NAME_LENGTH].strip("._-")
    kind = photo["content_type"]
    return f"{photo['position']:03d}-{safe or 'photo'}.{EXTENSIONS.get(kind, kind.rpartition('/')[2])}"


def folder_of(content: dict) -> str:
    return f"ticket-{content['ticket_id']}/"


class Download:
    """An archive on its way to one client. To be closed, whatever becomes of it.

    Raises ArchiveBusyError while this process sends as many as it may, TemporarilyUnavailableError when the first photo
    cannot be fetched.
    """

    def __init__(self, archive: Archive, *, sock=None):
        """`sock`: the client's, for a pace to be asked of it."""
        self._archive, self._socket = archive, sock
        self._outcome = "client_gone"  # unless more is known when it is closed
        self._sent_bytes = 0
        self._patience_seconds, self._sending_since = PATIENCE_SECONDS, None
        self._closed = True
        if not _under_way.begin():
            metrics.count("hopla_archives", outcome="busy")
            raise ArchiveBusyError
        self._closed = False
        try:
            archive.open_first()
        except OriginalUnavailableError as exc:
            self._fail("photo_unavailable", exc)
            self.close()
            raise TemporarilyUnavailableError from exc
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        if self._socket is not None:
            watch(self)
        try:
            for piece in self._archive:
                self._sending_since = time.monotonic()
                yield piece
                self._note_sent(len(piece))
            self._outcome = "complete"
        except PhotoDiffersError as exc:
            self._fail("photo_differs", exc)
            raise
        except OriginalUnavailableError as exc:
            self._fail("photo_unavailable", exc)
            raise
        except Exception as exc:
            self._outcome = "error"
            unforeseen.report("web", "sending an archive", exc)
            raise

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        forget(self)
        self._archive.close()
        _under_way.end()
        metrics.count("hopla_archives", outcome=self._outcome)
        metrics.count("hopla_archive_bytes", self._sent_bytes)
        logger.info(
            "archive: %s, %d of %d bytes sent",
            *(self._outcome, self._sent_bytes, len(self._archive)),
            extra={"tickets": self._archive.tickets, "outcome": self._outcome},
        )

    def __del__(self):
        self.close()  # a middleware that fails discards the response without closing it

    def is_overdue(self) -> bool:
        since = self._sending_since
        return since is not None and time.monotonic() - since > self._patience_seconds

    def cut(self) -> None:
        self._outcome = "client_too_slow"
        hang_up(self._socket)

    def _note_sent(self, number: int) -> None:
        """A lot taken at once buys no long pause later: patience grows back to what it was, and no further."""
        spent = time.monotonic() - self._sending_since
        self._sending_since = None
        self._sent_bytes += number
        self._patience_seconds += number / MIN_BYTES_PER_SECOND - spent
        self._patience_seconds = min(self._patience_seconds, PATIENCE_SECONDS)

    def _fail(self, outcome: str, exc: Exception) -> None:
        self._outcome = outcome
        logger.error("an archive was broken off: %s", exc, extra={"tickets": self._archive.tickets})


OUTCOMES = ("complete", "busy", "photo_differs", "photo_unavailable", "client_gone", "client_too_slow", "error")


class _UnderWay:
    """How many archives this process sends now."""

    def __init__(self):
        self._number = 0
        self._lock = threading.Lock()

    def begin(self) -> bool:
        with self._lock:
            if self._number >= settings.ARCHIVE_CONCURRENCY:
                return False
            self._number += 1
            return True

    def end(self) -> None:
        with self._lock:
            self._number -= 1


_under_way = _UnderWay()
