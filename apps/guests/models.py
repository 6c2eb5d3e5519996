"""Guest links: each lets whoever holds it send the photos of one ticket, until it expires or is revoked.

The token is kept twice: as a digest, by which a link is found, and encrypted, for e-mails and for staff who show the
link again.
"""

import hashlib
from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models import CharField, Count, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.common.db.compiled_queries import CompiledQuery, Parameter, columns_of, instance_of
from apps.common.mail.outbox import OutgoingEmail
from apps.common.observability.request_id import MAX_LENGTH as REQUEST_ID_MAX_LENGTH
from apps.common.observability.request_id import current_request_id
from apps.tickets.models import Image, Ticket
from apps.tickets.models.statuses import TicketStatus

NAME_MAX_LENGTH = 150
MAX_REMINDERS = 3


class LinkState(models.TextChoices):
    """What a link is good for now."""

    OPEN = "open", _("open")
    COMPLETED = "completed", _("completed")  # its ticket is; it may be reopened
    CANCELLED = "cancelled", _("cancelled")  # its ticket is
    EXPIRED = "expired", _("expired")
    REVOKED = "revoked", _("revoked")


class GuestLinkQuerySet(models.QuerySet):
    def find(self, token: str) -> "GuestLink | None":
        """Returns the link of this token with its ticket and the ticket's owner, whatever it is good for."""
        return self.filter(token_digest=digest_of(token)).select_related("ticket__owner").first()

    def with_photos(self):
        """Returns the links, each with the number of its photos in `photos`."""
        sent = Image.objects.filter(guest_link_id=OuterRef("pk")).order_by().values("guest_link_id")
        number = Subquery(sent.annotate(number=Count("*")).values("number"))
        return self.annotate(photos=Coalesce(number, Value(0)))


class GuestLink(models.Model):
    """A link to one ticket. It never outlives the ticket's own expiry, and is not changed but to be revoked."""

    # The admin shows `last_used_at` to the minute, so that not every request writes it.
    LAST_USE_PRECISION = timedelta(minutes=1)

    ticket = models.ForeignKey(Ticket, on_delete=models.CASCADE, related_name="guest_links", verbose_name=_("ticket"))
    token_digest = models.CharField(max_length=64, unique=True, editable=False)
    token_encrypted = models.CharField(max_length=255, editable=False)
    name = models.CharField(_("name"), max_length=NAME_MAX_LENGTH, blank=True)
    email = models.EmailField(_("e-mail address"), blank=True)
    language = models.CharField(_("language"), max_length=8, choices=settings.LANGUAGES)
    wants_emails = models.BooleanField(_("gets e-mails"), default=True)
    remind_before_seconds = models.JSONField(_("reminders, in seconds before it expires"), default=list, blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("created by"),
    )
    expires_at = models.DateTimeField(_("expires at"), editable=False)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, editable=False)
    opened_at = models.DateTimeField(_("opened at"), null=True, editable=False)
    last_used_at = models.DateTimeField(_("last used at"), null=True, editable=False)

    objects = GuestLinkQuerySet.as_manager()

    class Meta:
        verbose_name = _("guest link")
        verbose_name_plural = _("guest links")
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["-created_at", "-id"], name="guest_link_newest")]

    def __str__(self):
        return self.name or self.email or f"#{self.pk}"

    @property
    def is_expired(self) -> bool:
        return self.expires_at <= timezone.now()

    @property
    def is_revoked(self) -> bool:
        """Whether it was revoked, or its ticket's owner may do nothing any more: what they gave ends with that."""
        return self.revoked_at is not None or not self.ticket.owner.is_active

    @property
    def state(self) -> LinkState:
        """What it is good for now, by the ticket as it was read."""
        if self.is_revoked:
            return LinkState.REVOKED
        if self.ticket.status == TicketStatus.CANCELLED:
            return LinkState.CANCELLED
        if self.is_expired or self.ticket.status == TicketStatus.EXPIRED:
            return LinkState.EXPIRED
        return LinkState.COMPLETED if self.ticket.status == TicketStatus.COMPLETED else LinkState.OPEN

    def get_state_display(self) -> str:
        return self.state.label

    def remember_use(self) -> None:
        """Note that it is in use, once in LAST_USE_PRECISION."""
        now = timezone.now()
        used_since = now - self.LAST_USE_PRECISION
        if self.opened_at is None or self.last_used_at is None or self.last_used_at < used_since:
            stale = Q(opened_at=None) | Q(last_used_at=None) | Q(last_used_at__lt=used_since)
            used = GuestLink.objects.filter(stale, pk=self.pk)
            used.update(opened_at=Coalesce("opened_at", Value(now)), last_used_at=now)


class GuestEmailKind(models.TextChoices):
    INVITATION = "invitation", _("invitation")
    REMINDER = "reminder", _("reminder")
    RETAKE = "retake", _("another photo is wanted")


class GuestEmail(OutgoingEmail):
    """An e-mail to whoever got a link. A reminder waits for its time, and is dropped if nothing is missing then."""

    link = models.ForeignKey(GuestLink, on_delete=models.CASCADE, related_name="emails", verbose_name=_("guest link"))
    kind = models.CharField(_("what"), max_length=16, choices=GuestEmailKind)
    request_id = models.CharField(max_length=REQUEST_ID_MAX_LENGTH, default=current_request_id, editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    class Meta(OutgoingEmail.Meta):
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state="queued"), name="guest_email_due"),
            models.Index(fields=["id"], condition=Q(state="failed"), name="guest_email_failed"),
        ]


def digest_of(token: str) -> str:
    """A plain SHA-256: of a token of 32 random bytes nobody can guess one."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def find_for_request(token: str) -> tuple[GuestLink, int, bool] | None:
    """Returns the link of this token, the id of its ticket's owner, and whether they are active, in one short row."""
    row = _LINK.first(digest=digest_of(token))
    return row and (instance_of(GuestLink, row[:-2]), *row[-2:])


_LINK = CompiledQuery(
    lambda: (
        GuestLink.objects.filter(token_digest=Parameter("digest", CharField()))
        .order_by()
        .values_list(*columns_of(GuestLink), "ticket__owner_id", "ticket__owner__is_active")
    )
)
