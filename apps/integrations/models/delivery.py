"""One event on its way to one endpoint: at most one row for both, written with the event."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.integrations.models.endpoint import Endpoint
from apps.integrations.models.event import Event

ANSWER_MAX_LENGTH = 1024


class DeliveryStatus(models.TextChoices):
    PENDING = "pending", _("pending")
    DELIVERED = "delivered", _("delivered")
    FAILED = "failed", _("failed")


class Delivery(models.Model):
    endpoint = models.ForeignKey(
        Endpoint,
        on_delete=models.CASCADE,
        related_name="deliveries",
        db_index=False,  # the indexes below begin with it
        verbose_name=_("webhook endpoint"),
    )
    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="deliveries", verbose_name=_("event"))
    status = models.CharField(_("status"), max_length=16, choices=DeliveryStatus, default=DeliveryStatus.PENDING)
    # The number of the last attempt begun, as of an image: an outcome is recorded only if no other has begun since.
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    # How many of them belong to earlier rounds: a replay begins a new one, with all its retries.
    attempts_before = models.PositiveIntegerField(default=0, editable=False)
    # Of the last attempt: what came back, if anything did.
    http_status = models.PositiveSmallIntegerField(_("HTTP status"), null=True)
    milliseconds = models.PositiveIntegerField(_("milliseconds"), null=True)
    answer = models.CharField(_("answer"), max_length=ANSWER_MAX_LENGTH, blank=True)
    # When the next attempt is due; while one runs, when its lease ends. Null once it is settled.
    next_try_at = models.DateTimeField(_("next try at"), null=True, default=timezone.now)
    is_running = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    delivered_at = models.DateTimeField(_("delivered at"), null=True, editable=False)

    class Meta:
        verbose_name = _("webhook delivery")
        verbose_name_plural = _("webhook deliveries")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["endpoint", "event"], name="delivery_once_for_each")]
        indexes = [
            models.Index(fields=["endpoint", "-id"], name="delivery_of_endpoint"),
            # What is due at each endpoint is found in it, however much the others have: see webhooks/choosing.py.
            models.Index(fields=["endpoint", "next_try_at"], condition=Q(status="pending"), name="delivery_due"),
            models.Index(fields=["endpoint"], condition=Q(is_running=True), name="delivery_running"),
            models.Index(fields=["id"], condition=Q(status="failed"), name="delivery_failed"),
        ]

    def __str__(self):
        return f"{self.event_id} → {self.endpoint_id}"
