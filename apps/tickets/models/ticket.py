"""Tickets and their images. Models hold the rules of a single row; what takes several steps lives in the stories
beside them (intake, delivery, reconcile). Lock order is always Ticket, then Image.
"""

import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import connection, models
from django.db.models import Count, F, Q, Value
from django.db.models.functions import Upper
from django.db.transaction import TransactionManagementError
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from apps.common.db.compiled_queries import CompiledQuery, CompiledUpdate, Parameter, columns_of, instance_of, update
from apps.common.db.indexes import NullsLastIndex
from apps.common.observability.request_id import MAX_LENGTH as REQUEST_ID_MAX_LENGTH
from apps.common.observability.request_id import current_request_id
from apps.tickets.models.statuses import IN_FLIGHT, OPEN_TICKET, ImageStatus, TicketStatus
from apps.tickets.models.transition import record

# How long past its own deadline an attempt may take to record its outcome before someone else may take over.
LEASE_SLACK_SECONDS = 5
# By what a list of tickets is filtered, besides the owner.
FILTERED_BY = ["status", "created_at"]


@dataclass(frozen=True)
class Progress:
    """How far a ticket is, in images."""

    declared: int
    stored: int = 0
    in_flight: int = 0
    failed: int = 0

    @property
    def received(self) -> int:
        """Accepted and not failed: the places taken."""
        return self.stored + self.in_flight

    @property
    def remaining(self) -> int:
        """How many photos the ticket still takes."""
        return max(0, self.declared - self.received)

    @property
    def percent(self) -> int:
        return 100 * self.stored // self.declared


class TicketQuerySet(models.QuerySet):
    def visible_to(self, user):
        """The tickets this user may read: one's own, and for staff everyone's."""
        return self if user.is_staff else self.filter(owner=user)

    def owned_by(self, user):
        return self.filter(owner=user)

    def mentioning(self, text: str):
        """Those with this text in their title or description, in any case."""
        if connection.vendor != "postgresql":
            return self.filter(Q(title__icontains=text) | Q(description__icontains=text))
        # A number is rarer than the words beside it. Looked up first, it spares the index half of its work.
        numbers = [word for word in text.split() if len(word) > 2 and word != text and any(map(str.isdigit, word))]
        found = self
        for each in (*numbers, text):
            found = found.filter(search_text__text__contains=Upper(Value(each)))
        return found

    def read(self, ticket_id: int, *, reader) -> "Ticket":
        """The ticket, if this user may read it. Raises Ticket.DoesNotExist."""
        ticket, _ = _read(_TICKET, ticket_id, reader)
        return ticket

    def read_counted(self, ticket_id: int, *, reader) -> "Ticket":
        """Likewise, with its Progress in `counted`: both of one moment, as it is one statement that reads them."""
        ticket, [counts] = _read(_TICKET_COUNTED, ticket_id, reader)
        ticket.counted = _progress(ticket, dict(zip(ImageStatus.values, counts, strict=True)))
        return ticket

    def read_with_images(self, ticket_id: int, *, reader) -> "Ticket":
        """Likewise, with its images in `images_read`, too."""
        ticket, rows = _read(_TICKET_WITH_IMAGES, ticket_id, reader)
        ticket.images_read = [instance_of(Image, row) for row in rows if row[0] is not None]  # no image: a row of nulls
        ticket.counted = _progress(ticket, Counter(image.status for image in ticket.images_read))
        return ticket

    def lock(self, ticket_id) -> "Ticket":
        """The ticket, locked until the transaction ends. Raises Ticket.DoesNotExist; needs an open transaction.

        PostgreSQL: NO KEY UPDATE, so that rows pointing at the ticket can be written meanwhile. SQLite has no row
        locks; there the transaction itself is the lock (BEGIN IMMEDIATE, see settings).
        """
        if not connection.in_atomic_block:
            raise TransactionManagementError("a lock needs a transaction to last for")
        row = _LOCKED_TICKET.first(ticket_id=ticket_id)
        if row is None:
            raise Ticket.DoesNotExist
        return instance_of(Ticket, row)

    def lock_and_touch(self, ticket_id) -> bool:
        """`lock` and `touch` in one UPDATE, for whoever needs nothing else of the ticket. False when it is gone."""
        return bool(_TOUCH.run(ticket_id=ticket_id, moment=timezone.now()))


class Ticket(models.Model):
    """A declared set of `num_images` photos; `completed` exactly when that many are stored."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="tickets",
        db_index=False,  # others begin with it, see below
        verbose_name=_("owner"),
    )
    title = models.CharField(_("title"), max_length=200, blank=True)
    description = models.TextField(_("description"), max_length=5000, blank=True)
    num_images = models.PositiveIntegerField(_("declared photos"), validators=[MinValueValidator(1)])
    status = models.CharField(_("status"), max_length=16, choices=TicketStatus, default=TicketStatus.PENDING)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated at"), default=timezone.now, editable=False)
    completed_at = models.DateTimeField(_("completed at"), null=True, editable=False)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    # Raised with every change a reader can see, under the ticket's lock: the ETag is made of it.
    version = models.PositiveIntegerField(default=1, editable=False)

    objects = TicketQuerySet.as_manager()

    class Meta:
        verbose_name = _("ticket")
        verbose_name_plural = _("tickets")
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index("owner", "status", F("created_at").desc(), F("id").desc(), name="ticket_owner_status_newest"),
            # Each ordering that the API offers. What the filters look at is included: they pass over 100,000 tickets in
            # 7 ms within the index, and in 50 to 100 in the table. An index of updated_at makes PostgreSQL write every
            # index of a ticket anew with each photo: 0.06 ms; without one, the newest of 100,000 are found in 100 ms.
            models.Index(
                "owner", F("created_at").desc(), F("id").desc(), include=["status"], name="ticket_owner_by_created"
            ),
            models.Index(fields=["owner", "num_images", "id"], include=FILTERED_BY, name="ticket_owner_by_num_images"),
            models.Index(fields=["owner", "updated_at", "id"], include=FILTERED_BY, name="ticket_owner_by_updated"),
            models.Index(fields=["owner", "completed_at", "id"], include=FILTERED_BY, name="ticket_owner_by_completed"),
            # What has no value comes last here too, so that this is not the one above read backwards.
            NullsLastIndex(
                "owner",
                F("completed_at").desc(nulls_last=True),
                F("id").desc(),
                include=FILTERED_BY,
                name="ticket_owner_by_completed_last",
            ),
            # Of everyone's, for staff.
            models.Index(F("created_at").desc(), F("id").desc(), name="ticket_newest"),
            models.Index("status", F("created_at").desc(), F("id").desc(), name="ticket_status_newest"),
            # The reconciler looks every second for those whose time has come.
            models.Index(
                fields=["expires_at"], condition=Q(status__in=["pending", "in_progress"]), name="ticket_to_expire"
            ),
        ]

    def __str__(self):
        return self.title or f"#{self.pk}"

    @property
    def takes_photos(self) -> bool:
        return self.status in OPEN_TICKET

    @property
    def is_overdue(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    def progress(self) -> Progress:
        """Counted in the database now. For a page of tickets use `progress_of`, one query for all."""
        return _progress(self, dict(_IMAGES_BY_STATUS.rows(ticket_id=self.pk)))

    def all_images_stored(self) -> bool:
        """Counted in the database now. Certain only under the ticket's lock."""
        return _STORED.first(ticket_id=self.pk) == (self.num_images,)

    @property
    def etag(self) -> str:
        """A strong ETag of what a reader is told in the active language: the same for every reader, another after every
        change that a reader can see.
        """
        return f'"{self.pk}-{self.version}-{get_language()}"'

    def touch(self, **changes) -> None:
        """Write the changes and raise the version. The ticket must come from `lock`, in the same transaction."""
        if changes.get("status", self.status) != self.status:
            record(ticket_id=self.pk, from_status=self.status, to_status=changes["status"])
        update(self, **changes, version=self.version + 1, updated_at=timezone.now())

    def begin(self) -> None:
        """pending -> in_progress, at the first image accepted; later images only raise the version."""
        self.touch(status=TicketStatus.IN_PROGRESS)

    def cancel(self) -> None:
        """-> cancelled, from a status that still takes photos; see endings.end_ticket for what goes with it."""
        self.touch(status=TicketStatus.CANCELLED)

    def expire(self) -> None:
        """-> expired, likewise."""
        self.touch(status=TicketStatus.EXPIRED)

    def reopen(self, *, expires_at) -> None:
        """expired -> in_progress, or pending when no photo was ever accepted: staff gave it more time."""
        begun = self.images.exists()
        self.touch(status=TicketStatus.IN_PROGRESS if begun else TicketStatus.PENDING, expires_at=expires_at)

    def complete(self) -> None:
        """-> completed, once: under the lock, when the last image is stored."""
        self.touch(status=TicketStatus.COMPLETED, completed_at=timezone.now())


class SearchText(models.Model):
    """What `search` looks through: a ticket's title and description, in capitals. On PostgreSQL alone.

    Triggers keep it (migration 0010). An index of the trigrams on the ticket itself would be written anew with every
    photo, as all indexes of a ticket are.
    """

    ticket = models.OneToOneField(
        Ticket, on_delete=models.DO_NOTHING, primary_key=True, db_constraint=False, related_name="search_text"
    )
    text = models.TextField()

    class Meta:
        default_permissions = ()

    def __str__(self):
        return self.text


def _ticket():
    ticket = Ticket.objects.filter(pk=Parameter("ticket_id", models.BigIntegerField()))
    return ticket.values_list(*columns_of(Ticket))


def _ticket_counted():
    counts = {f"number_{status}": Count("images", filter=Q(images__status=status)) for status in ImageStatus.values}
    ticket = Ticket.objects.filter(pk=Parameter("ticket_id", models.BigIntegerField())).order_by()
    return ticket.annotate(**counts).values_list(*columns_of(Ticket), *counts)


def _ticket_with_images():
    ticket = Ticket.objects.filter(pk=Parameter("ticket_id", models.BigIntegerField()))
    ticket = ticket.order_by("images__position", "images__created_at")
    return ticket.values_list(*columns_of(Ticket), *columns_of(Image, "images__"))


_TICKET = CompiledQuery(_ticket)
_TICKET_COUNTED = CompiledQuery(_ticket_counted)
_TICKET_WITH_IMAGES = CompiledQuery(_ticket_with_images)


def _read(query: CompiledQuery, ticket_id: int, reader) -> tuple[Ticket, list[tuple]]:
    """The ticket that each row of the query begins with, and what else is in the rows."""
    rows = query.rows(ticket_id=ticket_id) if ticket_id <= models.BigIntegerField.MAX_BIGINT else []
    of_ticket = len(columns_of(Ticket))
    ticket = instance_of(Ticket, rows[0][:of_ticket]) if rows else None
    if ticket is None or not (reader.is_staff or ticket.owner_id == reader.pk):
        raise Ticket.DoesNotExist
    return ticket, [row[of_ticket:] for row in rows]


def _locked_ticket():
    no_key = connection.features.has_select_for_no_key_update
    ticket = Ticket.objects.filter(pk=Parameter("ticket_id", models.BigIntegerField()))
    return ticket.select_for_update(no_key=no_key).values_list(*columns_of(Ticket))


def _touch():
    ticket = Ticket.objects.filter(pk=Parameter("ticket_id", models.BigIntegerField()))
    return ticket, {"version": F("version") + 1, "updated_at": Parameter("moment", models.DateTimeField())}


def _stored():
    stored = Image.objects.filter(ticket_id=Parameter("ticket_id", models.BigIntegerField()), status=ImageStatus.STORED)
    return stored.order_by().values("ticket_id").annotate(number=Count("*")).values_list("number")


_LOCKED_TICKET = CompiledQuery(_locked_ticket)
_TOUCH = CompiledUpdate(_touch)
_STORED = CompiledQuery(_stored)


class ImageQuerySet(models.QuerySet):
    def find(self, image_id) -> "Image | None":
        """The image of this id."""
        row = _IMAGE.first(image_id=image_id)
        return row and instance_of(Image, row)

    def holding_a_place(self):
        return self.exclude(status=ImageStatus.FAILED)

    def due(self, number: int) -> "list[Image]":
        """In flight, and nobody has looked at them for longer than they asked for: see Image.next_check_at.

        At most so many, attempts whose lease has lapsed first: a backlog is no reason to let those wait.
        """
        due = self.filter(next_check_at__lte=timezone.now()).order_by("next_check_at")
        lapsed = list(due.filter(status=ImageStatus.UPLOADING)[:number])
        return lapsed + list(due.filter(status=ImageStatus.QUEUED)[: number - len(lapsed)])


class Image(models.Model):
    """One photo of a ticket. Each named move is one guarded UPDATE: it answers whether this caller made the move, so a
    job that runs twice or late changes nothing the second time.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    ticket = models.ForeignKey(
        Ticket,
        on_delete=models.CASCADE,
        related_name="images",
        db_index=False,  # image_ticket_status begins with it
        verbose_name=_("ticket"),
    )
    position = models.PositiveIntegerField(_("position"))
    status = models.CharField(_("status"), max_length=16, choices=ImageStatus, default=ImageStatus.QUEUED)

    # Of the request that brought it: the attempts to deliver it write it into their log lines.
    request_id = models.CharField(
        _("request id"), max_length=REQUEST_ID_MAX_LENGTH, default=current_request_id, db_default="", editable=False
    )
    filename = models.CharField(_("file name"), max_length=255, blank=True)
    content_type = models.CharField(_("content type"), max_length=32)
    size = models.PositiveIntegerField(_("size in bytes"))
    sha256 = models.CharField(max_length=64)
    duplicate_of = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        db_index=False,  # image_duplicate_of, without the many that have none
        verbose_name=_("duplicate of"),
    )
    format = models.CharField(_("format"), max_length=8)
    width = models.PositiveIntegerField(_("width"))
    height = models.PositiveIntegerField(_("height"))
    # How the photo is stored, in EXIF's numbers; width and height are those of the photo turned upright.
    orientation = models.SmallIntegerField(_("orientation"), default=1, db_default=1)

    # What the photo says of itself by EXIF, null where it does not; nobody has checked it. The time is text, as most
    # cameras name no zone: see formats/claims.py.
    captured_at = models.CharField(_("captured at"), max_length=32, null=True, editable=False)  # noqa: DJ001
    latitude = models.FloatField(null=True, editable=False)
    longitude = models.FloatField(null=True, editable=False)
    camera = models.CharField(_("camera"), max_length=100, null=True, editable=False)  # noqa: DJ001

    asset_id = models.CharField(_("Cloudinary asset id"), max_length=64, blank=True)
    asset_version = models.BigIntegerField(_("Cloudinary version"), null=True)
    asset_format = models.CharField(_("Cloudinary format"), max_length=16, blank=True)

    # The number of the last attempt begun. It never goes down: whoever records an outcome shows by it that no other
    # attempt has begun since.
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    # So many of them do not count towards UPLOAD_MAX_ATTEMPTS: those before staff had the photo tried again, and those
    # that were put off for a reason that is no photo's fault.
    attempts_uncounted = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    error_code = models.CharField(_("error code"), max_length=64, blank=True)
    error_detail = models.CharField(_("error"), max_length=500, blank=True)
    next_retry_at = models.DateTimeField(_("next retry at"), null=True)
    # When reconcile is to look at this row if nothing has happened to it by then; null once it is settled.
    next_check_at = models.DateTimeField(null=True)

    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated at"), default=timezone.now, editable=False)
    stored_at = models.DateTimeField(_("stored at"), null=True, editable=False)

    objects = ImageQuerySet.as_manager()

    class Meta:
        verbose_name = _("image")
        verbose_name_plural = _("images")
        ordering = ["ticket_id", "position", "created_at"]
        constraints = [
            # The database's own word that no place is given away twice, whatever the code above it does.
            models.UniqueConstraint(
                fields=["ticket", "position"], condition=~Q(status="failed"), name="image_place_taken_once"
            ),
            models.CheckConstraint(condition=Q(position__gte=1), name="image_position_from_one"),
        ]
        indexes = [
            models.Index(fields=["ticket", "status"], name="image_ticket_status"),
            models.Index(fields=["duplicate_of"], condition=Q(duplicate_of__isnull=False), name="image_duplicate_of"),
            models.Index(
                fields=["status", "next_check_at"], condition=Q(status__in=["queued", "uploading"]), name="image_due"
            ),
            # What was stored, or failed, lately: see figures.py.
            models.Index(fields=["stored_at"], condition=Q(status="stored"), name="image_stored_at"),
            models.Index(fields=["updated_at"], condition=Q(status="failed"), name="image_failed_at"),
        ]

    def __str__(self):
        return f"{self.ticket_id}/{self.position}"

    @property
    def log_fields(self) -> dict:
        """For `extra` of a log line about this image, whoever writes it."""
        return {"image": str(self.pk), "ticket": self.ticket_id, "attempt": self.attempts} | (
            {"request_id": self.request_id} if self.request_id else {}
        )

    @property
    def claims(self) -> dict:
        """What the photo says of itself, as readers are told it. No place where KEEP_PHOTO_LOCATION is off."""
        is_placed = settings.KEEP_PHOTO_LOCATION and self.latitude is not None and self.longitude is not None
        return {
            "captured_at": self.captured_at,
            "location": {"latitude": self.latitude, "longitude": self.longitude} if is_placed else None,
            "camera": self.camera,
        }

    @property
    def attempts_counted(self) -> int:
        """Towards UPLOAD_MAX_ATTEMPTS: what readers are told, and what the wait for the next one grows with."""
        return max(0, self.attempts - self.attempts_uncounted)

    @property
    def has_attempts_left(self) -> bool:
        return self.attempts_counted < settings.UPLOAD_MAX_ATTEMPTS

    @property
    def public_id(self) -> str:
        """The name at Cloudinary. It follows from the id alone, so a repeated upload replaces and never doubles."""
        return f"hopla/{self.pk}"

    def start_upload(self, *, lease_seconds: float) -> bool:
        """queued -> uploading, one attempt more. False when the image is not queued, or its retry is not due yet.

        After `lease_seconds` it is taken for lost, unless they are prolonged.
        """
        if self.waits_for_its_time:
            return False
        now = timezone.now()
        return self._move(
            [ImageStatus.QUEUED],
            to=ImageStatus.UPLOADING,
            attempts=self.attempts + 1,
            next_retry_at=None,
            next_check_at=now + timedelta(seconds=lease_seconds),
        )

    def store(self, *, asset_id: str, asset_version: int, asset_format: str) -> bool:
        """-> stored, from any state in flight, by the last attempt made; one that was overtaken changes nothing.

        From `queued` too: the answer came after its attempt was given up, or was lost and the asset is found there.
        """
        return self._move(
            IN_FLIGHT,
            to=ImageStatus.STORED,
            asset_id=asset_id,
            asset_version=asset_version,
            asset_format=asset_format,
            stored_at=timezone.now(),
            error_code="",
            error_detail="",
            next_retry_at=None,
            next_check_at=None,
        )

    def retry_at(self, moment, *, code: str, detail: str) -> bool:
        """uploading -> queued: passing trouble ended this attempt, the next one starts at `moment`."""
        return self._move(
            [ImageStatus.UPLOADING],
            to=ImageStatus.QUEUED,
            reason=code,
            error_code=code,
            error_detail=detail[:500],
            next_retry_at=moment,
            next_check_at=moment,
        )

    def give_back(self, moment) -> bool:
        """uploading -> queued, and the attempt does not count: it failed for a reason that is no photo's fault."""
        return self._move(
            [ImageStatus.UPLOADING],
            to=ImageStatus.QUEUED,
            reason="uploads_paused",
            attempts_uncounted=self.attempts_uncounted + 1,
            next_retry_at=moment,
            next_check_at=moment,
        )

    def fail(self, *, code: str, detail: str) -> bool:
        """-> failed from any state in flight that has not moved on meanwhile; the place is free again."""
        return self._move(
            IN_FLIGHT,
            to=ImageStatus.FAILED,
            reason=code,
            error_code=code,
            error_detail=detail[:500],
            next_retry_at=None,
            next_check_at=None,
        )

    def lose_asset(self, *, code: str, detail: str) -> bool:
        """stored -> failed: an audit found that Cloudinary does not hold the photo."""
        return self._move(
            [ImageStatus.STORED], to=ImageStatus.FAILED, reason=code, error_code=code, error_detail=detail[:500]
        )

    def revive(self, *, position: int) -> bool:
        """failed -> queued, on a place that is free: staff have it tried again, with all attempts before it."""
        return self._move(
            [ImageStatus.FAILED],
            to=ImageStatus.QUEUED,
            reason="tried_again",
            position=position,
            attempts_uncounted=self.attempts,
            error_code="",
            error_detail="",
            next_check_at=next_check_at_the_latest(),
        )

    def check_again_in(self, seconds: float) -> bool:
        """Stay in flight, and be looked at again by reconcile after that time."""
        moment = timezone.now() + timedelta(seconds=seconds)
        return any(self._update(status, next_check_at=moment) for status in self._own_first(IN_FLIGHT))

    def retry_now(self) -> bool:
        """Of an image that waits for its next attempt: it need not wait any more."""
        return self.waits_for_its_time and self._update(
            ImageStatus.QUEUED, next_retry_at=None, next_check_at=next_check_at_the_latest()
        )

    @property
    def waits_for_its_time(self) -> bool:
        return self.next_retry_at is not None and self.next_retry_at > timezone.now()

    def _move(self, from_statuses, *, to: str, reason: str = "", **changes) -> bool:
        # One status after the other: the log of transitions says where it came from.
        for status in self._own_first(from_statuses):
            if self._update(status, status=to, **changes):
                record(
                    ticket_id=self.ticket_id,
                    image_id=self.pk,
                    from_status=status,
                    to_status=to,
                    reason=reason,
                    request_id=self.request_id,
                    told=self.told_of_a_move(),
                )
                return True
        return False

    def told_of_a_move(self) -> dict:
        """For the log: `seconds` since the photo was accepted, and when it is tried again if that has a time."""
        told = {"attempt": self.attempts, "seconds": round((self.updated_at - self.created_at).total_seconds(), 3)}
        return told | ({"again_at": self.next_retry_at.isoformat()} if self.next_retry_at else {})

    def _own_first(self, statuses) -> list:
        return sorted(statuses, key=lambda status: status != self.status)

    def _update(self, is_status: str, **changes) -> bool:
        """Guarded: only while the row has this status, no other attempt has begun since this image was read, and staff
        have not had it tried again.
        """
        only_if = {"status": is_status, "attempts": self.attempts, "attempts_uncounted": self.attempts_uncounted}
        return update(self, only_if=only_if, updated_at=timezone.now(), **changes)


_IMAGE = CompiledQuery(
    lambda: Image.objects.filter(pk=Parameter("image_id", models.UUIDField())).values_list(*columns_of(Image))
)


class AssetRemoval(models.Model):
    """An asset that must not stay at Cloudinary: written in the transaction that made it so, removed once it is gone.

    `due_at` lies past the deadline of any upload of it that may still be under way, and is when it is tried next.
    """

    public_id = models.CharField(_("public id"), max_length=255, unique=True)
    due_at = models.DateTimeField(_("due at"), db_index=True)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    error = models.CharField(_("error"), max_length=500, blank=True)
    # Until then Cloudinary may still carry out the last call, whatever came of it here: no upload may begin meanwhile.
    under_way_until = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("asset removal")
        verbose_name_plural = _("asset removals")

    def __str__(self):
        return self.public_id


class IdempotencyKey(models.Model):
    """The answer that a request with an Idempotency-Key got, for repeats of it."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    path = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)  # sha256 of what was sent, in hex
    image = models.ForeignKey(Image, on_delete=models.CASCADE, null=True)
    status_code = models.PositiveSmallIntegerField()
    answer = models.TextField()  # as it was rendered, to be repeated to the letter
    location = models.CharField(max_length=500)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_once_per_user")]

    def __str__(self):
        return self.key


def next_check_at_the_latest():
    """When reconcile is to look at an image that is queued now, should its job get lost."""
    return timezone.now() + timedelta(seconds=settings.RECONCILE_AFTER_SECONDS)


def progress_of(tickets) -> dict[int, Progress]:
    """The progress of each of these tickets by its id, counted in one query."""
    counts = defaultdict(dict)
    rows = Image.objects.filter(ticket_id__in=[ticket.pk for ticket in tickets]).order_by()
    for ticket_id, status, number in rows.values_list("ticket_id", "status").annotate(number=Count("pk")):
        counts[ticket_id][status] = number
    return {ticket.pk: _progress(ticket, counts[ticket.pk]) for ticket in tickets}


def _progress(ticket: Ticket, counts: dict[str, int]) -> Progress:
    """`counts`: of the ticket's images, by status."""
    return Progress(
        declared=ticket.num_images,
        stored=counts.get(ImageStatus.STORED, 0),
        in_flight=sum(counts.get(status, 0) for status in IN_FLIGHT),
        failed=counts.get(ImageStatus.FAILED, 0),
    )


def _images_by_status():
    images = Image.objects.filter(ticket_id=Parameter("ticket_id", models.BigIntegerField())).order_by()
    return images.values_list("status").annotate(number=Count("pk"))


_IMAGES_BY_STATUS = CompiledQuery(_images_by_status)
