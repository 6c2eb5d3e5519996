"""E-mails about endpoints to their owners."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.common.mail.outbox import OutgoingEmail
from apps.common.observability.request_id import MAX_LENGTH as REQUEST_ID_MAX_LENGTH
from apps.common.observability.request_id import current_request_id
from apps.integrations.models.endpoint import Endpoint


class WebhookEmail(OutgoingEmail):
    """Tells its owner that hopla has disabled an endpoint. It is dropped if the endpoint is enabled by then."""

    endpoint = models.ForeignKey(
        Endpoint, on_delete=models.CASCADE, related_name="emails", verbose_name=_("webhook endpoint")
    )
    request_id = models.CharField(max_length=REQUEST_ID_MAX_LENGTH, default=current_request_id, editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    class Meta(OutgoingEmail.Meta):
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state="queued"), name="webhook_email_due"),
            models.Index(fields=["id"], condition=Q(state="failed"), name="webhook_email_failed"),
        ]
