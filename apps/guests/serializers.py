"""Guest links as JSON. The field names are the contract's."""

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.serializers import CharField, ChoiceField, DateTimeField, IntegerField, ListField, URLField

from apps.common.api.fields import NullIsLeftOut, StrictCharField, StrictIntegerField
from apps.common.mail.addresses import one_form
from apps.guests.links import DEFAULT_EXPIRY_SECONDS, MAX_EXPIRY_SECONDS, MIN_EXPIRY_SECONDS
from apps.guests.models import MAX_REMINDERS, NAME_MAX_LENGTH
from apps.tickets.api.shown import ShownSerializer, shown

LANGUAGES = [code for code, _name in settings.LANGUAGES]
EMAIL_MAX_LENGTH = 254


class NewGuestLinkSerializer(NullIsLeftOut, serializers.Serializer):
    """A guest link to make. Without any field it is one for a week, to nobody by name."""

    expires_in_seconds = StrictIntegerField(
        required=False,
        default=DEFAULT_EXPIRY_SECONDS,
        min_value=MIN_EXPIRY_SECONDS,
        max_value=MAX_EXPIRY_SECONDS,
        help_text="How long it may be used; never longer than the ticket itself takes photos.",
    )
    name = StrictCharField(
        max_length=NAME_MAX_LENGTH,
        required=False,
        allow_blank=True,
        default="",
        help_text="Of whoever gets it, for you. It is in no e-mail.",
    )
    email = serializers.EmailField(
        max_length=EMAIL_MAX_LENGTH,
        required=False,
        allow_blank=True,
        default="",
        help_text="Where the invitation and the reminders are sent, if anywhere.",
    )
    language = serializers.ChoiceField(
        choices=LANGUAGES, required=False, help_text="Of the e-mails; left out, that of this request."
    )
    remind_before_seconds = ListField(
        child=StrictIntegerField(min_value=MIN_EXPIRY_SECONDS, max_value=MAX_EXPIRY_SECONDS),
        max_length=MAX_REMINDERS,
        required=False,
        default=list,
        help_text="How long before it expires reminders are sent that name what is missing. One whose time is past "
        "when the link is made is not sent.",
    )

    class Meta:
        ref_name = "NewGuestLink"
        swagger_schema_fields = {
            "example": {"name": "Ana", "email": "ana@example.com", "remind_before_seconds": [86400, 7200]}
        }

    def validate_email(self, value):
        normal = one_form(value)
        if len(normal) > EMAIL_MAX_LENGTH:  # in its one form it may be longer than what was sent
            raise serializers.ValidationError(_("This e-mail address is too long."), code="max_length")
        return normal

    def validate_remind_before_seconds(self, value):
        return list(dict.fromkeys(value))

    def validate(self, new):
        if new["remind_before_seconds"] and not new["email"]:
            message = _("Reminders are e-mails: give an address, too.")
            raise serializers.ValidationError({"remind_before_seconds": message}, code="without_email")
        return new


class GuestLinkSerializer(ShownSerializer):
    """A guest link, without what it opens. Read it from `GuestLink.objects.with_photos()`."""

    id = shown(IntegerField, 12)
    ticket_id = shown(IntegerField, 94)
    name = shown(CharField, "Ana")
    email = shown(CharField, "ana@example.com", help_text="Empty: no e-mails are sent.")
    language = shown(ChoiceField, "en", choices=LANGUAGES, help_text="Of the e-mails.")
    remind_before_seconds = shown(
        ListField, [86400, 7200], child=IntegerField(), help_text="When it reminds, before it expires."
    )
    created_at = shown(DateTimeField, "2026-11-21T10:00:00Z")
    expires_at = shown(DateTimeField, "2026-11-28T10:00:00Z")
    revoked_at = shown(DateTimeField, None, allow_null=True)
    opened_at = shown(DateTimeField, None, allow_null=True, help_text="When it was first used.")
    last_used_at = shown(DateTimeField, None, allow_null=True, help_text="To the minute.")
    photos = shown(IntegerField, 0, help_text="How many photos were accepted through it.")


class ShownOnceSerializer(GuestLinkSerializer):
    """A guest link as the answer to its making shows it."""

    class Meta:
        ref_name = "NewlyMadeGuestLink"

    url = shown(
        URLField,
        "https://hopla.example/u/Zx0mC1hQ2kqRvbN7yq3W5uEo9aLtPfSgJiD4cUe8XwM/",
        help_text="The page where the photos are taken. Whoever has it may send them: shown only once.",
    )
    token = shown(
        CharField,
        "Zx0mC1hQ2kqRvbN7yq3W5uEo9aLtPfSgJiD4cUe8XwM",
        help_text="For `Authorization: Guest <token>`: shown only once.",
    )
    qr_svg = shown(CharField, '<svg xmlns="http://www.w3.org/2000/svg" …', help_text="A QR code of `url`, as an SVG.")
