"""Something that happened, told to the owner of what it happened to. Never changed."""

import json
import os
import threading
import time
import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.common.observability.request_id import MAX_LENGTH as REQUEST_ID_MAX_LENGTH
from apps.common.observability.request_id import current_request_id
from apps.integrations.models.facts import told_by
from apps.integrations.models.positions import CurrentPosition


class EventType(models.TextChoices):
    TICKET_CREATED = "ticket.created"
    TICKET_COMPLETED = "ticket.completed"
    TICKET_REOPENED = "ticket.reopened"
    TICKET_APPROVED = "ticket.approved"
    TICKET_CANCELLED = "ticket.cancelled"
    TICKET_EXPIRED = "ticket.expired"
    IMAGE_STORED = "image.stored"
    IMAGE_FAILED = "image.failed"
    IMAGE_REJECTED = "image.rejected"
    WEBHOOK_DISABLED = "webhook.disabled"
    PING = "ping"


_latest = 0
_lock = threading.Lock()


def new_event_id() -> uuid.UUID:
    """Returns a UUID of version 7 (RFC 9562): the milliseconds since the epoch, then their fraction in 12 bits, then
    chance. Ids made one after the other by a process grow, whatever its clock does.
    """
    global _latest
    with _lock:
        _latest = max(_latest + 1, (time.time_ns() << 12) // 1_000_000)
        milliseconds, fraction = _latest >> 12, _latest & 0xFFF
    number = milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | int.from_bytes(os.urandom(8), "big") >> 2
    return uuid.UUID(int=number)


def oldest_id_at(moment: datetime) -> uuid.UUID:
    """Returns the lowest id of version 7 that can have been made at that moment or later."""
    return uuid.UUID(int=int(moment.timestamp() * 1000) << 80)


def kept_since() -> datetime:
    """Returns the moment since which events are kept; older ones are forgotten."""
    return timezone.now() - timedelta(days=settings.EVENTS_KEPT_DAYS)


def moment_of(event_id: uuid.UUID) -> float | None:
    """Returns when this id was made, in seconds since the epoch; None of an id of another version."""
    return (event_id.int >> 80) / 1000 if event_id.version == 7 else None


class EventQuerySet(models.QuerySet):
    def visible_to(self, user):
        """Their own alone, of staff too: events are told to the owner of what they tell of."""
        return self.filter(owner_id=user.pk)

    def settle(self, events) -> None:
        """Make the text of those of these events that have none, once for good: whoever comes second reads it."""
        new = [event for event in events if event.text is None]
        if not new:
            return
        with transaction.atomic():
            unsettled = self.filter(pk__in=[event.pk for event in new], text=None).order_by("pk")
            locked = set(unsettled.select_for_update(no_key=True).values_list("pk", flat=True))
            mine = [event for event in new if event.pk in locked]
            for event in mine:
                event.text, event.facts = told_by(event.facts), None
            self.bulk_update(mine, ["text", "facts"])
        others = dict(self.filter(pk__in={event.pk for event in new} - locked).values_list("pk", "text"))
        for event in new:
            if event.pk not in locked:
                event.text = others.get(event.pk) or told_by(event.facts)  # or it was forgotten meanwhile


class Event(models.Model):
    # Also the time at which it was written, by which old ones are found.
    id = models.UUIDField(primary_key=True, default=new_event_id, editable=False)
    # By which the feed is ordered: no event gets a lower one than that of an event that could be read before it.
    position = models.BigIntegerField(db_default=CurrentPosition(), editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,  # checking it would cost each photo a look-up
        verbose_name=_("owner"),
    )
    type = models.CharField(_("type"), max_length=32, choices=EventType)
    # Of what it tells, which may be deleted; null of events that are of no ticket.
    ticket_id = models.BigIntegerField(_("ticket"), null=True, editable=False)
    image_id = models.UUIDField(_("image"), null=True, editable=False)
    at = models.DateTimeField(_("when"), default=timezone.now, editable=False)
    request_id = models.CharField(
        _("request id"), max_length=REQUEST_ID_MAX_LENGTH, default=current_request_id, editable=False
    )
    # Its data, as JSON. Most events are never read, so it is made when one is read or sent for the first time, from the
    # rows as they were at the event, see facts.py; from then on it is kept, and the same whatever changes.
    text = models.TextField(null=True, editable=False)  # noqa: DJ001  null: not yet
    facts = models.TextField(null=True, editable=False)  # noqa: DJ001

    objects = EventQuerySet.as_manager()

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["-position", "-id"]
        indexes = [
            models.Index(fields=["owner", "position", "id"], name="event_of_owner"),
            models.Index(fields=["ticket_id", "position", "id"], name="event_of_ticket"),
            # Most are image.stored: without them, the others are found among a million, and writing those costs less.
            models.Index(
                fields=["owner", "position", "id"],
                include=["type"],
                condition=~Q(type="image.stored"),
                name="event_of_owner_but_stored",
            ),
            models.Index(fields=["type", "-id"], condition=~Q(type="image.stored"), name="event_of_type"),  # the admin
        ]

    def __str__(self):
        return f"{self.type} {self.pk}"

    @property
    def data(self) -> dict:
        """What it tells, as the feed and webhooks show it."""
        if self.text is None:
            Event.objects.settle([self])
        data = json.loads(self.text)
        if "image" in data and not settings.KEEP_PHOTO_LOCATION:
            data["image"]["location"] = None  # it was still kept when the text was made
        return data

    @data.setter
    def data(self, data: dict) -> None:
        self.text = json.dumps(data, ensure_ascii=False)
