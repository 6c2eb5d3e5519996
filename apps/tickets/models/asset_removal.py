"""The assets to remove from Cloudinary."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class AssetRemoval(models.Model):
    """An asset that must not stay at Cloudinary: created in the transaction that decides so, deleted once it is gone.

    `due_at` is the time of the next try, after the deadline of any upload that may still be in progress. `again_at`: by
    the signed form of a direct upload the asset may come again until then, and it is removed once more.
    """

    public_id = models.CharField(_("public id"), max_length=255, unique=True)
    due_at = models.DateTimeField(_("due at"), db_index=True)
    again_at = models.DateTimeField(null=True, editable=False)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    error = models.CharField(_("error"), max_length=500, blank=True)
    # Until then Cloudinary may still carry out the last call, even if it failed here: no upload may begin meanwhile.
    under_way_until = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("asset removal")
        verbose_name_plural = _("asset removals")

    def __str__(self):
        return self.public_id
