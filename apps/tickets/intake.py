"""The photo's way in: stream, check, take a place, enqueue.

The bytes go to Redis piece by piece as they arrive and never to a disk. The place is taken after they are staged, so
that a crash in between leaves a key that expires and never a place that nobody fills.
"""

import hashlib
import logging
import re
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models import Aggregate, BigIntegerField, CharField, Count, Max, OuterRef, Subquery
from redis.exceptions import RedisError

from apps.common.db.compiled_queries import CompiledQuery, Parameter, columns_of, insert, instance_of
from apps.common.observability import metrics
from apps.tickets import photos, staging
from apps.tickets.body import uploads
from apps.tickets.delivery import enqueue_delivery
from apps.tickets.errors import (
    EncodedImageError,
    ImageEmptyError,
    ImageMissingError,
    ImageTooLargeError,
    ImageTooManyPixelsError,
    RawImageError,
    StagingFullError,
    TemporarilyUnavailableError,
    TicketCancelledError,
    TicketCompletedError,
    TicketExpiredError,
    TicketFullError,
    UnsupportedImageError,
)
from apps.tickets.models import Image, Ticket, look_again_at_the_latest
from apps.tickets.places import take_next_place
from apps.tickets.states import TicketStatus
from apps.tickets.transitions import acting_as

logger = logging.getLogger(__name__)

PIECE_BYTES = 384 * 1024
HEAD_BYTES = 192 * 1024  # hold nearly every photo's header, with the thumbnail in it
SIGNATURE_BYTES = 64  # enough to tell by signature what a file is
REFUSALS = {photos.RawFileError: RawImageError, photos.EncodedPhotoError: EncodedImageError}
FILENAME_MAX_LENGTH = 255
WRITE_EVERY_SECONDS = staging.INCOMING_TTL_SECONDS / 4  # of a slow client, or what it has sent would expire

# With the budget full, a few requests of each process wait this long for room; the others are refused at once, so that
# threads are left for everything else. A refusal is due within two seconds.
WAIT_FOR_ROOM_SECONDS = 1.2
LOOK_FOR_ROOM_EVERY_SECONDS = 0.05
_waiting_room = threading.BoundedSemaphore(32)


@dataclass(frozen=True)
class StagedPhoto:
    """A photo whose bytes are whole in staging, under `image_id`."""

    image_id: uuid.UUID
    filename: str
    size: int  # bytes
    sha256: str  # hex
    header: photos.PhotoHeader


class PhotoStream:
    """Takes one photo's bytes in any portions, checks them on the way and writes them to staging in pieces.

    `expected_size`: of the photo or a little more. Raises the errors of this app as soon as a portion shows that the
    photo cannot be taken.
    """

    def __init__(self, expected_size: int, *, user=""):
        self.image_id = uuid.uuid4()
        self._expected_size = expected_size
        self._user = user
        self._held = 0  # bytes of the budget
        self._filename = None
        self._sha256 = hashlib.sha256()
        self._size = 0
        self._portions: list[bytes] = []  # of the piece to come
        self._piece_size = 0
        self._head = b""  # its first bytes, kept for reading the header
        self._signature_checked = False
        self._written_at = time.monotonic()  # the last piece

    @property
    def is_open(self) -> bool:
        return self._filename is not None

    def open(self, filename: str) -> None:
        self._filename = clean_filename(filename)

    def write(self, portion: bytes) -> None:
        self._size += len(portion)
        if self._size > settings.IMAGE_MAX_BYTES:
            raise ImageTooLargeError(max_bytes=settings.IMAGE_MAX_BYTES)
        self._sha256.update(portion)
        self._portions.append(portion)
        self._piece_size += len(portion)
        if not self._signature_checked and self._size >= SIGNATURE_BYTES:
            self._check_signature()
        overdue = self._signature_checked and time.monotonic() > self._written_at + WRITE_EVERY_SECONDS
        if self._piece_size >= PIECE_BYTES or overdue:
            self._write_piece()

    def close(self) -> StagedPhoto:
        """The photo, whole and staged for as long as its delivery may take."""
        if not self.is_open:
            raise ImageMissingError
        if not self._size:
            raise ImageEmptyError
        self._check_signature()
        self._write_piece(last=True)
        header = self._read_header()
        return StagedPhoto(self.image_id, self._filename, self._size, self._sha256.hexdigest(), header)

    def _check_signature(self) -> None:
        if self._signature_checked:
            return
        try:
            photos.sniff_format(b"".join(self._portions)[:SIGNATURE_BYTES])
        except photos.NotAPhotoError as exc:
            raise REFUSALS.get(type(exc), UnsupportedImageError) from exc
        self._signature_checked = True

    def _write_piece(self, *, last: bool = False) -> None:
        offset, at_pace = self._size - self._piece_size, self._piece_size >= PIECE_BYTES
        portions, self._portions, self._piece_size = self._portions, [], 0
        self._head = self._head or b"".join(portions)[:HEAD_BYTES]
        piece = {"offset": offset, "user": self._user}
        if not last:
            piece |= {"size": self._expected_size, "at_pace": at_pace}
        write = partial(staging.write_last if last else staging.write, self.image_id, *portions, **piece)
        try:
            held = write(held=self._held)
        except StagingFullError:
            self._held = self._wait_for_room(offset, at_pace)
            held = self._held and write(held=self._held)
        self._written_at, self._held = time.monotonic(), held
        if not held:  # Redis was flushed or restarted in the middle of this photo
            raise TemporarilyUnavailableError

    def _wait_for_room(self, offset: int, at_pace: bool) -> int:
        """What is held then. The bytes stay here meanwhile: they would go to Redis at every look."""
        room = {"offset": offset, "announced": self._expected_size, "at_pace": at_pace, "user": self._user}
        return _patiently(partial(staging.reserve, self.image_id, self._size, **room))

    def _read_header(self) -> photos.PhotoHeader:
        try:
            header = photos.read_header(self._read_at, size=self._size)
        except photos.NotAPhotoError as exc:
            raise REFUSALS.get(type(exc), UnsupportedImageError) from exc
        if header.pixels > settings.IMAGE_MAX_PIXELS:
            raise ImageTooManyPixelsError(max_pixels=settings.IMAGE_MAX_PIXELS)
        return header

    def _read_at(self, offset: int, length: int) -> bytes:
        if offset + length <= len(self._head) or len(self._head) == self._size:
            return self._head[offset : offset + length]
        return staging.read_range(self.image_id, offset, min(length, self._size - offset))


class FingerprintStream:
    """Stands in for a PhotoStream where only the photo's sha256 is wanted: nothing is checked or staged."""

    def __init__(self):
        self.is_open = False
        self._sha256 = hashlib.sha256()

    def open(self, filename: str) -> None:
        self.is_open = True

    def write(self, portion: bytes) -> None:
        self._sha256.update(portion)

    def close(self) -> str:
        return self._sha256.hexdigest()


@contextmanager
def reserved_stream(size: int | None, *, user=""):
    """A PhotoStream for a photo of up to `size` bytes, None where nobody knows: it fits into the staging budget when it
    begins, and holds of it what has come. Whatever goes wrong inside, no byte stays. `user`: whose share it counts to.

    Raises StagingFullError, after a short wait for room, as does the stream when it finds none for what comes next.
    """
    _patiently(partial(staging.require_room, size or 1, user=user))
    stream = PhotoStream(expected_size=size or settings.IMAGE_MAX_BYTES, user=user)
    try:
        yield stream
    except BaseException:
        with suppress(RedisError):  # then the expiry takes them
            staging.discard(stream.image_id)
        raise


def _patiently(find_room: Callable):
    """Returns what it does. Clients that post one photo after another are slowed down to the pace of delivery before
    they are refused.
    """
    give_up_at = time.monotonic() + WAIT_FOR_ROOM_SECONDS
    may_wait = _waiting_room.acquire(blocking=False)
    try:
        while True:
            try:
                return find_room()
            except StagingFullError:
                if not may_wait or time.monotonic() >= give_up_at:
                    raise
            with uploads.away():
                time.sleep(LOOK_FOR_ROOM_EVERY_SECONDS)
    finally:
        if may_wait:
            _waiting_room.release()


# A ticket and how many of its places are taken, before the body is read.
_TICKET = CompiledQuery(
    lambda: Ticket.objects.filter(
        pk=Parameter("ticket_id", BigIntegerField()), owner=Parameter("owner_id", BigIntegerField())
    ).values_list(*columns_of(Ticket), _of_images_holding_a_place(Count("pk")))
)

# Under the lock: how many places are taken, the last of them, and the first photo with the same bytes.
_PLACES = CompiledQuery(
    lambda: Ticket.objects.filter(pk=Parameter("ticket_id", BigIntegerField())).values_list(
        _of_images_holding_a_place(Count("pk")),
        _of_images_holding_a_place(Max("position")),
        Subquery(
            Image.objects.holding_a_place()
            .filter(ticket=OuterRef("pk"), sha256=Parameter("sha256", CharField()))
            .order_by("created_at")
            .values("pk")[:1]
        ),
    )
)


def _of_images_holding_a_place(aggregate: Aggregate) -> Subquery:
    images = Image.objects.holding_a_place().filter(ticket=OuterRef("pk")).order_by().values("ticket")
    return Subquery(images.annotate(value=aggregate).values("value"))


def find_ticket(*, ticket_id: int, owner) -> Ticket:
    """This owner's ticket, with `places_taken` as they are at the moment. Raises Ticket.DoesNotExist."""
    row = _TICKET.first(ticket_id=ticket_id, owner_id=owner.pk) if ticket_id <= BigIntegerField.MAX_BIGINT else None
    if row is None:
        raise Ticket.DoesNotExist
    *columns, places_taken = row
    ticket = instance_of(Ticket, columns)
    ticket.places_taken = places_taken or 0
    return ticket


def require_place(ticket: Ticket) -> None:
    """Raise what stands against one more photo on this ticket, as `find_ticket` saw it.

    An unlocked look: only `accept_photo` is certain.
    """
    require_open(ticket)
    if ticket.places_taken >= ticket.num_images:
        raise TicketFullError


def require_open(ticket: Ticket) -> None:
    if ticket.status == TicketStatus.COMPLETED:
        raise TicketCompletedError
    if ticket.status == TicketStatus.CANCELLED:
        raise TicketCancelledError
    if ticket.status == TicketStatus.EXPIRED or ticket.is_overdue:
        raise TicketExpiredError


def accept_photo(*, ticket_id: int, photo: StagedPhoto, also: Callable[[Image], None] | None = None) -> Image:
    """Give the staged photo a place on the ticket and hand it to delivery. Answers the image, `queued`.

    `also` is called with the image in the transaction that takes the place, and undoes it by raising. Raises the
    refusals of `require_place`, and Ticket.DoesNotExist.
    """
    image = Image(
        id=photo.image_id,
        ticket_id=ticket_id,
        filename=photo.filename,
        content_type=photo.header.content_type,
        size=photo.size,
        sha256=photo.sha256,
        format=photo.header.format,
        width=photo.header.width,
        height=photo.header.height,
        orientation=photo.header.orientation,
        look_again_at=look_again_at_the_latest(),
    )
    with transaction.atomic() if also else nullcontext():
        if not take_next_place(image):
            _take_free_place(image)
        if also:
            also(image)
    # Robust: with the queue away the photo is accepted all the same, and reconcile enqueues it.
    transaction.on_commit(lambda: enqueue_delivery(image.pk), robust=True)
    transaction.on_commit(lambda: _tell_accepted(image), robust=True)
    return image


def _take_free_place(image: Image) -> None:
    with transaction.atomic():
        # Lock the ticket first: two photos arriving together would each see the last place free.
        ticket = Ticket.objects.lock(image.ticket_id)
        require_open(ticket)
        taken, last, image.duplicate_of_id = _PLACES.first(ticket_id=ticket.pk, sha256=image.sha256)
        image.position = _free_position(ticket, taken=taken or 0, last=last or 0)
        insert(image)
        with acting_as(f"user {ticket.owner_id}"):
            ticket.begin()


def _tell_accepted(image: Image) -> None:
    metrics.count("hopla_photos_accepted")
    metrics.count("hopla_photo_bytes_accepted", image.size)
    logger.info(
        "image %s of ticket %s: queued, %s bytes", image.pk, image.ticket_id, image.size, extra=image.log_fields
    )


def _free_position(ticket: Ticket, *, taken: int, last: int) -> int:
    """The first one free. Raises TicketFullError."""
    if taken >= ticket.num_images:
        raise TicketFullError
    if taken == last:
        return last + 1
    positions = set(ticket.images.holding_a_place().values_list("position", flat=True))  # photos that failed left gaps
    return next(position for position in range(1, ticket.num_images + 1) if position not in positions)


def clean_filename(name: str) -> str:
    """The last part of the name, printable, at most 255 characters with its ending kept; "" when nothing is left."""
    base = re.split(r"[/\\]", name)[-1]
    printable = "".join(character for character in base if character.isprintable()).strip()
    if not printable.strip("."):  # a folder's name for itself, or for the one above
        return ""
    if len(printable) <= FILENAME_MAX_LENGTH:
        return printable
    _, dot, ending = printable.rpartition(".")
    keep_ending = f"{dot}{ending}" if dot and len(ending) <= 8 else ""
    return printable[: FILENAME_MAX_LENGTH - len(keep_ending)] + keep_ending
