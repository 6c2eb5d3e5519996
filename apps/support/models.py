"""The support desk: tickets with their messages, a log of events, and the e-mails about them."""

from django.conf import settings
from django.db import models
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.common.mail.outbox import OutgoingEmail
from apps.common.observability.request_id import MAX_LENGTH as REQUEST_ID_MAX_LENGTH
from apps.common.observability.request_id import current_request_id


class SupportStatus(models.TextChoices):
    ACTIVE = "AC", _("active")
    FROZEN = "FR", _("frozen")
    CLOSED = "CL", _("closed")


class SupportTicketQuerySet(models.QuerySet):
    def visible_to(self, user):
        """The user's own tickets; for staff, all."""
        return self if user.is_staff else self.owned_by(user)

    def owned_by(self, user):
        return self.filter(owner=user)


class SupportTicket(models.Model):
    """A user's request for help. Its thread is `messages`; only staff change its status."""

    title = models.CharField(_("title"), max_length=200)
    body_text = models.TextField(_("text"), max_length=10_000)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="support_tickets", verbose_name=_("owner")
    )
    ticket = models.ForeignKey(
        "tickets.Ticket", on_delete=models.SET_NULL, null=True, blank=True, verbose_name=_("upload ticket")
    )
    status = models.CharField(_("status"), max_length=2, choices=SupportStatus, default=SupportStatus.ACTIVE)
    language = models.CharField(max_length=8, editable=False)  # of the request that opened it
    owner_subscribed = models.BooleanField(_("owner gets e-mails"), default=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated at"), default=timezone.now, editable=False)

    objects = SupportTicketQuerySet.as_manager()

    class Meta:
        verbose_name = _("support ticket")
        verbose_name_plural = _("support tickets")
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index("owner", F("created_at").desc(), F("id").desc(), name="support_owner_newest"),
            models.Index("status", F("created_at").desc(), F("id").desc(), name="support_status_newest"),
            models.Index(F("created_at").desc(), F("id").desc(), name="support_newest"),
        ]

    def __str__(self):
        return f"#{self.pk} {self.title}"


class Message(models.Model):
    ticket = models.ForeignKey(SupportTicket, on_delete=models.CASCADE, related_name="messages")
    text = models.TextField(_("text"), max_length=10_000)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    is_staff = models.BooleanField(_("by staff"))  # when it was written; the author's role may change later
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        ordering = ["created_at", "id"]

    def __str__(self):
        return self.text[:60]


class EventKind(models.TextChoices):
    OPENED = "opened", _("opened")
    MESSAGE = "message", _("message written")
    STATUS = "status", _("status changed")


class Event(models.Model):
    """Who did what to a ticket, and when. Created in the same transaction, and never changed."""

    ticket = models.ForeignKey(SupportTicket, on_delete=models.CASCADE, related_name="events")
    kind = models.CharField(_("what"), max_length=8, choices=EventKind)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("who")
    )
    message = models.ForeignKey(Message, on_delete=models.CASCADE, null=True)
    old_status = models.CharField(_("from"), max_length=2, choices=SupportStatus, blank=True)
    new_status = models.CharField(_("to"), max_length=2, choices=SupportStatus, blank=True)
    created_at = models.DateTimeField(_("when"), default=timezone.now, editable=False)
    # Of the request that did it: the job that sends the e-mail writes it into its log lines and into the mail.
    request_id = models.CharField(
        _("request id"), max_length=REQUEST_ID_MAX_LENGTH, default=current_request_id, db_default="", editable=False
    )

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["created_at", "id"]

    def __str__(self):
        return self.get_kind_display()


class Audience(models.TextChoices):
    OWNER = "owner", _("owner")
    SUPPORT = "support", _("support")


class Email(OutgoingEmail):
    """An e-mail about an event: created with the event, sent by a job, at most once for each audience."""

    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="emails")
    audience = models.CharField(_("audience"), max_length=8, choices=Audience)

    class Meta(OutgoingEmail.Meta):
        constraints = [models.UniqueConstraint(fields=["event", "audience"], name="email_once_per_event")]
        indexes = [
            models.Index(fields=["due_at"], condition=models.Q(state="queued"), name="email_due"),
            models.Index(fields=["id"], condition=models.Q(state="failed"), name="email_failed"),
        ]

    @property
    def request_id(self) -> str:
        return self.event.request_id
