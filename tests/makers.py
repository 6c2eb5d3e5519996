"""Makers of test data: users, tickets, photos, staged bytes, a sandbox. Each call makes one."""

import hashlib
import io
import itertools
import random
from contextlib import contextmanager
from datetime import timedelta
from functools import cache

from django.test import override_settings
from django.utils import timezone
from knox.models import get_token_model
from PIL import Image as Picture
from rest_framework.test import APIClient

from apps.accounts.models import User
from apps.accounts.verification import mark_verified
from apps.guests.links import make_link, token_of
from apps.guests.models import GuestLink
from apps.sandbox.server import SandboxServer
from apps.tickets.intake import acceptance
from apps.tickets.intake.stream import StagedPhoto, reserved_stream
from apps.tickets.lifecycle import moves
from apps.tickets.models import Image, KindSlot, Ticket, TicketKind

PASSWORD = "correct-horse-battery"

_numbers = itertools.count(1)


def make_user(username: str | None = None, *, verified: bool = True, **fields) -> User:
    """A user whose password is PASSWORD and whose e-mail address is the username at example.com."""
    username = username or f"user{next(_numbers)}"
    user = User.objects.create_user(username, **{"email": f"{username}@example.com", "password": PASSWORD} | fields)
    if verified:
        mark_verified(user.pk, user.email)
        user.verified_email = user.email
    return user


def token_for(user: User) -> str:
    return get_token_model().objects.create(user=user)[1]


def client_for(user: User | None = None) -> APIClient:
    """A client with this user's token, or an anonymous one. A view's exception becomes a response and is not raised."""
    client = APIClient(raise_request_exception=False)
    if user is not None:
        client.credentials(HTTP_AUTHORIZATION=f"Token {token_for(user)}")
    return client


def make_ticket(owner: User | None = None, *, num_images: int = 2, **fields) -> Ticket:
    return Ticket.objects.create(owner=owner or make_user(), num_images=num_images, **fields)


def make_guest_link(ticket: Ticket | None = None, **fields) -> GuestLink:
    described = {"created_by": None, "language": "en"}
    return make_link(ticket=ticket or make_ticket(), **described | fields)


def guest_client(link: GuestLink) -> APIClient:
    """A client with this link's token, likewise."""
    client = client_for()
    client.credentials(HTTP_AUTHORIZATION=f"Guest {token_of(link)}")
    return client


def make_kind(name: str | None = None, *, slots=(), **fields) -> TicketKind:
    """A kind of tickets. `slots`: names, or the fields of a slot; without any, it is one of three photos."""
    described = {"titles": {"en": "A kind"}, "num_images": None if slots else 3}
    kind = TicketKind.objects.create(name=name or f"kind-{next(_numbers)}", **described | fields)
    for order, slot in enumerate(slots, start=1):
        KindSlot.objects.create(kind=kind, order=order, **{"name": slot} if isinstance(slot, str) else slot)
    return kind


def make_image(ticket: Ticket, *, position: int = 1, **fields) -> Image:
    """Returns an image with only its row: no bytes are staged and no job is queued."""
    content = jpeg_bytes(position)
    described = {
        "content_type": "image/jpeg",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "format": "jpeg",
        "width": 16,
        "height": 12,
    }
    return Image.objects.create(ticket=ticket, position=position, **described | fields)


def make_awaited(ticket: Ticket, *, position: int = 1, **fields) -> Image:
    """Returns a direct upload that is awaited for a quarter of an hour."""
    unknown = {"size": None, "sha256": "", "content_type": "", "format": "", "width": None, "height": None}
    moment = timezone.now() + timedelta(minutes=15)
    awaited = {"status": "awaiting_upload", "upload_expires_at": moment, "next_check_at": moment}
    return Image.objects.create(ticket=ticket, position=position, **unknown | awaited | fields)


def begin_attempt(image: Image) -> bool:
    """Begin an attempt of this image and update the instance. Returns whether that was allowed."""
    begun = moves.start_upload(image.pk, lease_seconds=30)
    for field in Image._meta.concrete_fields if begun else ():
        setattr(image, field.attname, getattr(begun, field.attname))
    return begun is not None


def make_accepted_image(ticket: Ticket, *, seed: int = 0) -> Image:
    """Returns a photo in the state of a posted one: staged, with a place, `queued`."""
    return acceptance.accept_photo(ticket_id=ticket.pk, photo=stage_photo(jpeg_bytes(seed)))


def stage_photo(content: bytes, *, filename: str = "photo.jpg") -> StagedPhoto:
    with reserved_stream(len(content)) as stream:
        stream.open(filename)
        stream.write(content)
        return stream.close()


@cache
def jpeg_bytes(seed: int = 0, *, size: int | None = None) -> bytes:
    """Returns a photo of 16 x 12 pixels, below 1 KiB, another for each seed; with `size`, padded to that many bytes."""
    picture = Picture.frombytes("RGB", (16, 12), random.Random(seed).randbytes(16 * 12 * 3))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG")
    return buffer.getvalue().ljust(size or 0, b"\0")


@contextmanager
def running_sandbox(**options):
    """Yields a sandbox Cloudinary, which hopla uses inside the block."""
    with SandboxServer(**options) as sandbox, override_settings(CLOUDINARY_URL=sandbox.cloudinary_url):
        yield sandbox
