"""Kinds of tickets: templates that staff make in the admin, and that a ticket is opened by.

Texts are kept by language, `{"en": "Front", "es": "Frente"}`; languages without one are left out.
"""

import uuid

from django.core.validators import MaxValueValidator, MinValueValidator, URLValidator
from django.db import models
from django.db.models import F, UniqueConstraint
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.tickets.models.slots import NAME_MAX_LENGTH, is_a_name
from apps.tickets.models.statuses import SlotSource

EXAMPLE_PREFIX = "hopla-examples/"
FALLBACK_LANGUAGE = "en"
MIN_EXPIRY_SECONDS = 60
MAX_EXPIRY_SECONDS = 10 * 366 * 24 * 3600


def in_language(texts: dict[str, str], language: str) -> str:
    """The text in this language; else the English one; else the first given; "" when there is none."""
    given = {code: text for code, text in texts.items() if text}
    return given.get(language) or given.get(FALLBACK_LANGUAGE) or next(iter(given.values()), "")


class KindQuerySet(models.QuerySet):
    def offered(self):
        """Those that tickets may be opened by, with their slots."""
        return self.filter(is_active=True).prefetch_related("slots__example")


class TicketKind(models.Model):
    """A template of tickets. Its version is raised by `changed`, at every change that is saved."""

    name = models.CharField(
        _("name for apps"),
        max_length=NAME_MAX_LENGTH,
        unique=True,
        validators=[is_a_name],
        help_text=_("Such as car-damage. Apps that know the old name do not find a new one."),
    )
    version = models.PositiveIntegerField(_("version"), default=1, editable=False)
    titles = models.JSONField(_("title"), default=dict)
    instructions = models.JSONField(_("instructions"), default=dict, blank=True)
    num_images = models.PositiveIntegerField(
        _("number of photos"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("Only for kinds without slots, or with more photos than slots."),
    )
    expires_in_seconds = models.PositiveIntegerField(
        _("expires after"),
        null=True,
        blank=True,
        validators=[MinValueValidator(MIN_EXPIRY_SECONDS), MaxValueValidator(MAX_EXPIRY_SECONDS)],
        help_text=_("Counted from the moment a ticket is opened; empty: tickets do not expire by themselves."),
    )
    is_active = models.BooleanField(
        _("offered"), default=True, help_text=_("Tickets can be opened by it. Those that are open stay as they are.")
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated at"), default=timezone.now, editable=False)

    objects = KindQuerySet.as_manager()

    class Meta:
        verbose_name = _("kind of ticket")
        verbose_name_plural = _("kinds of tickets")
        ordering = ["name"]

    def __str__(self):
        return self.name

    @property
    def number_of_places(self) -> int:
        """How many photos a ticket of this kind takes, unless it is opened for more: at least one for each slot."""
        return max(self.num_images or 0, len(self.slots.all()))

    def changed(self) -> None:
        """Raise the version. To be called in the transaction that changes the kind or its slots."""
        changes = {"version": F("version") + 1, "updated_at": timezone.now()}
        TicketKind.objects.filter(pk=self.pk).update(**changes)


class ExamplePicture(models.Model):
    """A picture at Cloudinary that shows what a photo should look like. It is never changed and never removed: tickets
    that were opened by an earlier version of the kind still show it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    size = models.PositiveIntegerField(_("size in bytes"))
    asset_version = models.BigIntegerField(_("Cloudinary version"))
    asset_format = models.CharField(_("Cloudinary format"), max_length=16)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("example picture")
        verbose_name_plural = _("example pictures")

    def __str__(self):
        return str(self.pk)

    @property
    def public_id(self) -> str:
        """Its name at Cloudinary."""
        return f"{EXAMPLE_PREFIX}{self.pk}"


class KindSlot(models.Model):
    """One named place of a kind: the nth slot is the nth place of its tickets."""

    kind = models.ForeignKey(TicketKind, on_delete=models.CASCADE, related_name="slots", verbose_name=_("kind"))
    name = models.CharField(
        _("name for apps"), max_length=NAME_MAX_LENGTH, validators=[is_a_name], help_text=_("Such as front.")
    )
    order = models.PositiveSmallIntegerField(_("place"), default=0)
    titles = models.JSONField(_("title"), default=dict, blank=True)
    instructions = models.JSONField(_("instructions"), default=dict, blank=True)
    source = models.CharField(_("source"), max_length=8, choices=SlotSource, default=SlotSource.ANY)
    example = models.ForeignKey(
        ExamplePicture, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("example picture")
    )
    example_link = models.URLField(
        _("address of an example"),
        max_length=500,
        blank=True,
        validators=[URLValidator(schemes=["https"])],
        help_text=_("Instead of a picture from your device: an https address."),
    )

    class Meta:
        verbose_name = _("slot")
        verbose_name_plural = _("slots")
        ordering = ["order", "id"]
        constraints = [UniqueConstraint(fields=["kind", "name"], name="kindslot_name_once_a_kind")]

    def __str__(self):
        return self.name
