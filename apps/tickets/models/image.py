"""A photo of a ticket: what is known of it, how often it was tried, and what it waits for."""

import uuid
from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.common.db.compiled_queries import CompiledQuery, Parameter, columns_of, instance_of
from apps.common.observability.request_id import MAX_LENGTH as REQUEST_ID_MAX_LENGTH
from apps.common.observability.request_id import current_request_id
from apps.tickets.models.statuses import IN_FLIGHT, ImageStatus, holds_a_place
from apps.tickets.models.ticket import Ticket

# How long past its own deadline an attempt may take to record its outcome before someone else may take over.
LEASE_SLACK_SECONDS = 5


class ImageQuerySet(models.QuerySet):
    def find(self, image_id) -> "Image | None":
        """The image of this id."""
        row = _IMAGE.first(image_id=image_id)
        return row and instance_of(Image, row)

    def holding_a_place(self):
        return self.filter(holds_a_place())

    def due(self, number: int) -> "list[Image]":
        """In flight, and nobody has looked at them for longer than they asked for: see Image.next_check_at.

        At most so many, attempts whose lease has lapsed first: a backlog is no reason to let those wait.
        """
        due = self.filter(next_check_at__lte=timezone.now()).order_by("next_check_at")
        lapsed = list(due.filter(status=ImageStatus.UPLOADING)[:number])
        return lapsed + list(due.filter(status=ImageStatus.QUEUED)[: number - len(lapsed)])


class Image(models.Model):
    """One photo of a ticket. How it goes from one status to another is in lifecycle/moves.py."""

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

    # What the photo's EXIF says, unchecked; null where it says nothing. The time is text, as most cameras name no zone:
    # see formats/claims.py.
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
                fields=["ticket", "position"], condition=holds_a_place(), name="image_place_taken_once"
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
    def shows_location(self) -> bool:
        """Whether readers are told where the photo says it was taken."""
        return settings.KEEP_PHOTO_LOCATION and self.latitude is not None and self.longitude is not None

    @property
    def attempts_counted(self) -> int:
        """Towards UPLOAD_MAX_ATTEMPTS: what readers are told, and what the wait for the next one grows with."""
        return max(0, self.attempts - self.attempts_uncounted)

    @property
    def has_attempts_left(self) -> bool:
        return self.attempts_counted < settings.UPLOAD_MAX_ATTEMPTS

    @property
    def holds_a_place(self) -> bool:
        return self.status != ImageStatus.FAILED

    @property
    def public_id(self) -> str:
        """The name at Cloudinary. It follows from the id alone, so a repeated upload replaces and never doubles."""
        return f"hopla/{self.pk}"

    @property
    def slot(self) -> str | None:
        """The name of its place, if that has one."""
        return self.ticket.slot_at(self.position)

    def check_again_at(self, moment) -> bool:
        """Stay in flight, and be looked at again by reconcile then."""
        return self._update(IN_FLIGHT, next_check_at=moment)

    def retry_now(self) -> bool:
        """Of an image that waits for its next attempt: it need not wait any more."""
        waits = self.next_retry_at is not None and self.next_retry_at > timezone.now()
        changes = {"next_retry_at": None, "next_check_at": next_check_at_the_latest()}
        return waits and self._update([ImageStatus.QUEUED], **changes)

    def told_of_a_move(self) -> dict:
        """For the log: `seconds` since the photo was accepted, and when it is tried again if that has a time."""
        told = {"attempt": self.attempts, "seconds": round((self.updated_at - self.created_at).total_seconds(), 3)}
        return told | ({"again_at": self.next_retry_at.isoformat()} if self.next_retry_at else {})

    def _update(self, statuses, **changes) -> bool:
        """Guarded: only while the row has one of these statuses, no other attempt has begun since this image was read,
        and staff have not had it tried again.
        """
        changes |= {"updated_at": timezone.now()}
        same_attempt = {"attempts": self.attempts, "attempts_uncounted": self.attempts_uncounted}
        updated = Image.objects.filter(pk=self.pk, status__in=statuses, **same_attempt).update(**changes)
        for name, value in changes.items() if updated else ():
            setattr(self, name, value)
        return bool(updated)


_IMAGE = CompiledQuery(
    lambda: Image.objects.filter(pk=Parameter("image_id", models.UUIDField())).values_list(*columns_of(Image))
)


def next_check_at_the_latest():
    """When reconcile is to look at an image that is queued now, should its job get lost."""
    return timezone.now() + timedelta(seconds=settings.RECONCILE_AFTER_SECONDS)
