"""The responses that are kept for repeated requests."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from apps.tickets.models.image import Image


class IdempotencyKey(models.Model):
    """The response to a request with an Idempotency-Key, for repeats of the request."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    path = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)  # sha256 of the request, in hex
    image = models.ForeignKey(Image, on_delete=models.CASCADE, null=True)
    status_code = models.PositiveSmallIntegerField()
    answer = models.TextField()  # the rendered response, repeated unchanged
    location = models.CharField(max_length=500)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_once_per_user")]

    def __str__(self):
        return self.key
