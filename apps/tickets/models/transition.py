"""The history of tickets and images: each move is recorded in its transaction and never changed, with its statuses,
time, reason and actor. It outlives the rows it describes. Each move is also logged.
"""

import logging
from contextlib import contextmanager
from contextvars import ContextVar

from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.common.db.compiled_queries import insert
from apps.common.observability.request_id import MAX_LENGTH as REQUEST_ID_MAX_LENGTH
from apps.common.observability.request_id import current_request_id, current_requester
from apps.tickets.models.statuses import ImageStatus

logger = logging.getLogger(__name__)

DELETED = "deleted"  # not the status of a row, which is gone
ACTOR_MAX_LENGTH = 100

_actor: ContextVar[str] = ContextVar("actor", default="")


@contextmanager
def acting_as(actor: str):
    """Inside, moves are recorded as made by this actor: `user 5`, `user 5, key 3`, `guest link 12`, `staff 2 (ana)`,
    `job <id>`, `reconcile`.
    """
    token = _actor.set(actor[:ACTOR_MAX_LENGTH])
    try:
        yield
    finally:
        _actor.reset(token)


class NeverChangedError(Exception):
    """Code tried to change or delete a recorded transition."""


class TransitionQuerySet(models.QuerySet):
    def first_attempts(self, ticket_id):
        """Returns (image id, start of its first upload attempt) of the ticket's images."""
        attempts = self.filter(ticket_id=ticket_id, to_status=ImageStatus.UPLOADING).order_by()
        return attempts.values_list("image_id").annotate(at=models.Min("at"))

    def ticket_of_deleted(self, image_id) -> int | None:
        """Returns the number of the ticket of a deleted image."""
        deletions = self.filter(image_id=image_id, to_status=DELETED).order_by()
        return next(iter(deletions.values_list("ticket_id", flat=True)), None)

    def update(self, **kwargs):
        raise NeverChangedError

    def delete(self):
        raise NeverChangedError


class Transition(models.Model):
    """One move. It has only the ids of its ticket and image: they may be deleted, the transition stays."""

    ticket_id = models.BigIntegerField(_("ticket"))
    image_id = models.UUIDField(_("image"), null=True, help_text=_("Empty: the ticket itself moved."))
    from_status = models.CharField(_("from"), max_length=16)
    to_status = models.CharField(_("to"), max_length=16)
    reason = models.CharField(_("why"), max_length=64, blank=True)
    actor = models.CharField(_("by"), max_length=ACTOR_MAX_LENGTH, blank=True)
    request_id = models.CharField(_("request id"), max_length=REQUEST_ID_MAX_LENGTH, blank=True)
    at = models.DateTimeField(_("when"), default=timezone.now)

    objects = TransitionQuerySet.as_manager()

    class Meta:
        verbose_name = _("transition")
        verbose_name_plural = _("transitions")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["ticket_id", "id"], name="transition_of_ticket"),
            # Existing photos know their ticket. An index over all moves would be one more to write each time.
            models.Index(
                fields=["image_id"], condition=models.Q(to_status=DELETED), name="transition_of_deleted_image"
            ),
        ]

    def __str__(self):
        return f"{self.from_status} → {self.to_status}"

    def save(self, *args, **kwargs):
        if not self._state.adding:
            raise NeverChangedError
        super().save(*args, **kwargs)

    def delete(self, *args, **kwargs):
        raise NeverChangedError


def record(*, ticket_id: int, image_id=None, from_status: str, to_status: str) -> None:
    """Record a change of a row that is not a move, in the transaction that makes it."""
    write(new_move(ticket_id=ticket_id, image_id=image_id, from_status=from_status, to_status=to_status))


def write(move: Transition) -> None:
    insert(move)
    transaction.on_commit(lambda: log_transition(move, {}), robust=True)


def new_move(**fields) -> Transition:
    """Returns an unsaved transition of now, by the current actor."""
    return Transition(**{"actor": _actor.get() or current_requester(), "request_id": current_request_id()} | fields)


def log_transition(move: Transition, told: dict) -> None:
    what, why = f"ticket {move.ticket_id}", ""
    # Read the id now: the request may be over at the commit.
    fields = told | {"ticket": move.ticket_id, "from": move.from_status, "to": move.to_status, "by": move.actor}
    fields["request_id"] = move.request_id
    if move.image_id:
        what = f"image {move.image_id} of ticket {move.ticket_id}"
        fields["image"] = str(move.image_id)
    if move.reason:
        why = f", {move.reason}"
        fields["code"] = move.reason
    logger.log(_level(move), "%s: %s -> %s%s", what, move.from_status, move.to_status, why, extra=fields)


def _level(move: Transition) -> int:
    if move.to_status == ImageStatus.FAILED:
        return logging.ERROR if move.from_status == ImageStatus.STORED else logging.WARNING
    tried_in_vain = (move.from_status, move.to_status) == (ImageStatus.UPLOADING, ImageStatus.QUEUED)
    return logging.WARNING if tried_in_vain else logging.INFO
