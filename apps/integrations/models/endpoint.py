"""An address to which the events of its owner are posted."""

from datetime import timedelta

from django.conf import settings
from django.db import connection, models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.integrations.models.event import EventType

URL_MAX_LENGTH = 2000
DESCRIPTION_MAX_LENGTH = 200
OLD_SECRET_LIFETIME = timedelta(hours=24)
# What an endpoint has that works, or begins anew.
NO_FAILURES = {"failing_since": None, "failures": 0, "failed_at": None}


class DisabledReason(models.TextChoices):
    GONE = "gone", _("answered 410")
    FAILING = "failing", _("failed for days")
    OWNER = "owner", _("by its owner")


class EndpointQuerySet(models.QuerySet):
    def visible_to(self, user):
        return self.filter(owner_id=user.pk)

    def kept(self) -> list:
        """Returns these endpoints, each of which stays until the transaction ends: what refers to it can be committed.
        Their rows can still be changed, as by attempts that end meanwhile.
        """
        if connection.vendor != "postgresql":
            return list(self)
        sql, parameters = self.query.sql_with_params()
        return list(self.raw(f"{sql} FOR KEY SHARE", parameters))


class Endpoint(models.Model):
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="webhook_endpoints",
        verbose_name=_("owner"),
    )
    url = models.CharField(_("URL"), max_length=URL_MAX_LENGTH)
    # The types that it gets, of EventType; empty: all.
    events = models.JSONField(_("events"), default=list, blank=True)
    description = models.CharField(_("description"), max_length=DESCRIPTION_MAX_LENGTH, blank=True)
    # `whsec_…`, encrypted (apps/common/encryption.py). The old one signs beside it until then.
    secret_encrypted = models.CharField(max_length=255, editable=False)
    old_secret_encrypted = models.CharField(max_length=255, blank=True, editable=False)
    old_secret_until = models.DateTimeField(null=True, editable=False)

    enabled = models.BooleanField(_("enabled"), default=True)
    disabled_reason = models.CharField(
        _("disabled, why"), max_length=16, choices=DisabledReason, blank=True, editable=False
    )
    disabled_at = models.DateTimeField(_("disabled at"), null=True, editable=False)
    # Since when each attempt has failed; null after one that succeeded. `failures` counts those at least
    # webhooks/disabling.py's FAILURES_APART after the one counted before, which was at `failed_at`.
    failing_since = models.DateTimeField(_("failing since"), null=True, editable=False)
    failures = models.PositiveSmallIntegerField(default=0, editable=False)
    failed_at = models.DateTimeField(null=True, editable=False)
    last_success_at = models.DateTimeField(_("last success at"), null=True, editable=False)
    # Nothing is sent before that: the receiver asked to wait.
    not_before = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    objects = EndpointQuerySet.as_manager()

    class Meta:
        verbose_name = _("webhook endpoint")
        verbose_name_plural = _("webhook endpoints")
        ordering = ["-id"]

    def __str__(self):
        return self.url

    def wants(self, event_type: str) -> bool:
        return not self.events or event_type in self.events or event_type == EventType.PING
