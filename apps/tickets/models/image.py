"""A photo of a ticket: its properties, its attempts, and when it is due."""

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
from apps.tickets.models.statuses import (
    IN_FLIGHT,
    WITH_AN_ASSET,
    WITHOUT_A_PLACE,
    ImageStatus,
    RejectionReason,
    holds_a_place,
)
from apps.tickets.models.ticket import Ticket

# How long past its own deadline an attempt may take to record its outcome before another worker may take over.
LEASE_SLACK_SECONDS = 5
REJECTION_NOTE_MAX_LENGTH = 1000
# How long after its form has ended a direct upload may still come: one that began in time may take long.
LATE_UPLOAD_SECONDS = 60 * 60
MAY_BE_LOOKED_FOR = (ImageStatus.AWAITING_UPLOAD, ImageStatus.FAILED)


class ImageQuerySet(models.QuerySet):
    def find(self, image_id) -> "Image | None":
        """Returns a query for the image of this id."""
        row = _IMAGE.first(image_id=image_id)
        return row and instance_of(Image, row)

    def holding_a_place(self):
        return self.filter(holds_a_place())

    def that_may_have_an_asset(self):
        """Returns those whose asset is wanted, if it is there or comes yet."""
        return self.exclude(status=ImageStatus.FAILED, next_check_at=None)

    def due(self, number: int) -> "list[Image]":
        """Returns images in flight whose `next_check_at` has passed, at most `number`.

        Attempts whose lease has expired come first, so that a backlog does not delay them.
        """
        due = self.filter(next_check_at__lte=timezone.now()).order_by("next_check_at")
        lapsed = list(due.filter(status=ImageStatus.UPLOADING)[:number])
        return lapsed + list(due.filter(status=ImageStatus.QUEUED)[: number - len(lapsed)])

    def to_look_for(self, number: int) -> "list[Image]":
        """Returns direct uploads of which Cloudinary is to be asked by now, at most `number`."""
        due = self.filter(next_check_at__lte=timezone.now(), status__in=MAY_BE_LOOKED_FOR)
        return list(due.order_by("next_check_at")[:number])


class Image(models.Model):
    """One photo of a ticket. The moves between its statuses are in lifecycle/moves.py."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    ticket = models.ForeignKey(
        Ticket,
        on_delete=models.CASCADE,
        related_name="images",
        db_index=False,  # image_ticket_status begins with it
        verbose_name=_("ticket"),
    )
    position = models.PositiveIntegerField(_("position"))
    # The link by which a guest sent it; null of the owner's own. Links are of another app, so it is no foreign key: a
    # link is deleted only with its ticket, and so are its photos.
    guest_link_id = models.BigIntegerField(_("guest link"), null=True, editable=False)
    status = models.CharField(_("status"), max_length=16, choices=ImageStatus, default=ImageStatus.QUEUED)

    # The id of the request that posted it: attempts to deliver it include the id in their log lines.
    request_id = models.CharField(
        _("request id"), max_length=REQUEST_ID_MAX_LENGTH, default=current_request_id, db_default="", editable=False
    )
    filename = models.CharField(_("file name"), max_length=255, blank=True)
    # Of a direct upload these and what follows, but for the sha256, are what Cloudinary says once it has the photo:
    # before that empty or null, except for the size and the md5 that the client announced.
    content_type = models.CharField(_("content type"), max_length=32, blank=True)
    size = models.PositiveIntegerField(_("size in bytes"), null=True)
    sha256 = models.CharField(max_length=64, blank=True)  # empty of a direct upload, whose bytes hopla has not seen
    md5 = models.CharField(max_length=32, blank=True, default="", db_default="", editable=False)  # of those alone
    duplicate_of = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        db_index=False,  # image_duplicate_of covers it, without the many nulls
        verbose_name=_("duplicate of"),
    )
    format = models.CharField(_("format"), max_length=8, blank=True)
    width = models.PositiveIntegerField(_("width"), null=True)
    height = models.PositiveIntegerField(_("height"), null=True)
    # How the pixels are stored, in EXIF's numbers; width and height are those of the upright photo.
    orientation = models.SmallIntegerField(_("orientation"), default=1, db_default=1)

    # What the photo's EXIF says, unchecked; null where it says nothing. The time is text, as most cameras name no zone:
    # see formats/claims.py.
    captured_at = models.CharField(_("captured at"), max_length=32, null=True, editable=False)  # noqa: DJ001
    latitude = models.FloatField(null=True, editable=False)
    longitude = models.FloatField(null=True, editable=False)
    camera = models.CharField(_("camera"), max_length=100, null=True, editable=False)  # noqa: DJ001

    # Of a direct upload: when the place is free again unless the photo has come, and the signed form ends; null of a
    # photo that came through hopla.
    upload_expires_at = models.DateTimeField(_("awaited until"), null=True, editable=False)
    asset_id = models.CharField(_("Cloudinary asset id"), max_length=64, blank=True)
    asset_version = models.BigIntegerField(_("Cloudinary version"), null=True)
    asset_format = models.CharField(_("Cloudinary format"), max_length=16, blank=True)

    # The number of the last attempt begun. It never decreases: an outcome is recorded only if no other attempt has
    # begun since.
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    # How many of them do not count towards UPLOAD_MAX_ATTEMPTS: those before staff had the photo tried again, and those
    # that failed for a reason that is not the photo's fault.
    attempts_uncounted = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    error_code = models.CharField(_("error code"), max_length=64, blank=True)
    error_detail = models.CharField(_("error"), max_length=500, blank=True)
    next_retry_at = models.DateTimeField(_("next retry at"), null=True)
    # When reconcile checks this row if nothing has happened to it by then; null once it is settled. A direct upload
    # that did not come in time is looked for once more after its form has ended.
    next_check_at = models.DateTimeField(null=True)

    # Of a rejected image: what staff tell the photographer.
    rejection_reason = models.CharField(
        _("why another is wanted"),
        max_length=16,
        choices=RejectionReason,
        blank=True,
        default="",
        db_default="",
        editable=False,
    )
    rejection_note = models.CharField(
        _("note"), max_length=REJECTION_NOTE_MAX_LENGTH, blank=True, default="", db_default="", editable=False
    )
    rejected_at = models.DateTimeField(_("rejected at"), null=True, editable=False)

    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated at"), default=timezone.now, editable=False)
    stored_at = models.DateTimeField(_("stored at"), null=True, editable=False)

    objects = ImageQuerySet.as_manager()

    class Meta:
        verbose_name = _("image")
        verbose_name_plural = _("images")
        ordering = ["ticket_id", "position", "created_at"]
        constraints = [
            # The database guarantees that no place is taken twice, whatever the code does.
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
            models.Index(
                fields=["next_check_at"],
                condition=Q(status__in=["awaiting_upload", "failed"], next_check_at__isnull=False),
                name="image_direct_upload_due",
            ),
            models.Index(
                fields=["guest_link_id"], condition=Q(guest_link_id__isnull=False), name="image_of_guest_link"
            ),
            # For recently stored or failed images: see stats.py.
            models.Index(fields=["stored_at"], condition=Q(status="stored"), name="image_stored_at"),
            models.Index(fields=["updated_at"], condition=Q(status="failed"), name="image_failed_at"),
        ]

    def __str__(self):
        return f"{self.ticket_id}/{self.position}"

    @property
    def log_fields(self) -> dict:
        """Returns the `extra` of any log line about this image."""
        return {"image": str(self.pk), "ticket": self.ticket_id, "attempt": self.attempts} | (
            {"request_id": self.request_id} if self.request_id else {}
        )

    @property
    def shows_location(self) -> bool:
        """Whether readers are told where the photo says it was taken."""
        return settings.KEEP_PHOTO_LOCATION and self.latitude is not None and self.longitude is not None

    @property
    def attempts_counted(self) -> int:
        """Returns the attempts that count towards UPLOAD_MAX_ATTEMPTS, for readers and for the backoff."""
        return max(0, self.attempts - self.attempts_uncounted)

    @property
    def has_attempts_left(self) -> bool:
        return self.attempts_counted < settings.UPLOAD_MAX_ATTEMPTS

    @property
    def holds_a_place(self) -> bool:
        return self.status not in WITHOUT_A_PLACE

    @property
    def has_an_asset(self) -> bool:
        return self.status in WITH_AN_ASSET

    @property
    def public_id(self) -> str:
        """Returns the name at Cloudinary. It depends on the id alone, so a repeated upload replaces the asset."""
        return f"hopla/{self.pk}"

    @property
    def is_direct(self) -> bool:
        """Whether the client sends it to Cloudinary itself."""
        return self.upload_expires_at is not None

    @property
    def may_still_come(self) -> bool:
        """Whether a direct upload is awaited, or was for so short a time that it is counted if it comes late."""
        return self.status in MAY_BE_LOOKED_FOR and self.is_direct and self.next_check_at is not None

    @property
    def last_upload_at(self):
        """When the signed form of a direct upload can bring no asset any more; None of other photos."""
        return self.upload_expires_at and self.upload_expires_at + timedelta(seconds=LATE_UPLOAD_SECONDS)

    @property
    def slot(self) -> str | None:
        """The name of its place, if that has one."""
        return self.ticket.slot_at(self.position)

    def check_again_at(self, moment) -> bool:
        """Set when reconcile checks the image again; it stays in flight."""
        return self._update(IN_FLIGHT, next_check_at=moment)

    def look_again_at(self, moment, **changes) -> bool:
        """Set when Cloudinary is asked of a direct upload again, None for never, while that may still come. It is no
        change that a reader can see.
        """
        awaited = Image.objects.filter(pk=self.pk, status__in=MAY_BE_LOOKED_FOR, next_check_at__isnull=False)
        return bool(awaited.update(next_check_at=moment, **changes))

    def retry_now(self) -> bool:
        """End the wait of an image for its next attempt."""
        waits = self.next_retry_at is not None and self.next_retry_at > timezone.now()
        changes = {"next_retry_at": None, "next_check_at": next_check_at_the_latest()}
        return waits and self._update([ImageStatus.QUEUED], **changes)

    def told_of_a_move(self) -> dict:
        """Returns log fields: `seconds` since the photo was accepted, and the time of the next attempt, if any."""
        told = {"attempt": self.attempts, "seconds": round((self.updated_at - self.created_at).total_seconds(), 3)}
        return told | ({"again_at": self.next_retry_at.isoformat()} if self.next_retry_at else {})

    def _update(self, statuses, **changes) -> bool:
        """Update the row, but only while it has one of these statuses, no other attempt has begun since this image was
        read, and staff have not had it tried again.
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
    """Returns when reconcile checks an image that is queued now, in case its job is lost."""
    return timezone.now() + timedelta(seconds=settings.RECONCILE_AFTER_SECONDS)
