"""A key of a user for a program: it may do what its scopes say, and cannot be read again.

Its row stays when it expires, so that its owner sees why a program has stopped, and when it is revoked, so that it can
be told who acted: the history and the log name keys by their number.
"""

from datetime import timedelta

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

NAME_MAX_LENGTH = 100
CONTROL = r"\u0000-\u001f\u007f-\u009f\u2028\u2029"
# At least one character that is no space, and none that controls how others are shown.
is_a_name = RegexValidator(
    rf"^[^{CONTROL}]*[^\s{CONTROL}][^{CONTROL}]*$", _("A name has no control characters."), "control_character"
)


class KeyState(models.TextChoices):
    """What a key is good for now."""

    WORKING = "working", _("working")
    EXPIRED = "expired", _("expired")
    REVOKED = "revoked", _("revoked")
    INACTIVE = "inactive", _("its user is inactive")


class ApiKeyQuerySet(models.QuerySet):
    def visible_to(self, user):
        return self.filter(owner_id=user.pk, revoked_at=None)

    def working(self, *, now=None):
        """Those neither revoked nor expired. `now` may be an expression."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=now or timezone.now()), revoked_at=None)


class ApiKey(models.Model):
    # `last_used_at` is known to the minute, so that not every request writes it.
    LAST_USE_PRECISION = timedelta(minutes=1)

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_keys", verbose_name=_("owner")
    )
    name = models.CharField(_("name"), max_length=NAME_MAX_LENGTH)
    prefix = models.CharField(_("begins with"), max_length=16, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(_("scopes"), default=list)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, editable=False)
    last_used_at = models.DateTimeField(_("last used at"), null=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ["-id"]

    def __str__(self):
        return self.name

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @property
    def state(self) -> KeyState:
        if self.revoked_at is not None:
            return KeyState.REVOKED
        if self.is_expired:
            return KeyState.EXPIRED
        return KeyState.WORKING if self.owner.is_active else KeyState.INACTIVE

    def remember_use(self) -> None:
        """Note that it is in use, once in LAST_USE_PRECISION."""
        now = timezone.now()
        used_since = now - self.LAST_USE_PRECISION
        if self.last_used_at is None or self.last_used_at < used_since:
            stale = Q(last_used_at=None) | Q(last_used_at__lt=used_since)
            ApiKey.objects.filter(stale, pk=self.pk).update(last_used_at=now)
