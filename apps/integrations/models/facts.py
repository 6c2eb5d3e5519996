"""What an event is made from: the rows of its ticket and its image as they were, and what was counted with them.

    {"ticket": {column: value}, "image": {column: value} | null, "counts": {status: number of images} | null,
     "slot": name of the image's place | null, "missing": [name] | null}

From that the API's own serializers make its data. They speak English there: a program reads it, and nobody has asked
in a language.
"""

import json
from operator import attrgetter
from typing import ClassVar

from django.db.models import Model
from django.utils import translation
from rest_framework.serializers import CharField, ListField

from apps.common.db.compiled_queries import columns_of
from apps.common.public_url import public_url
from apps.tickets.api.serializers import ImageSerializer, TicketSerializer
from apps.tickets.api.shown import shown
from apps.tickets.models import Image, Progress, Ticket

MISSING_AT_MOST = 50
# All but what is not told. Slots may be long: of them, the names that are missing are kept.
TICKET_COLUMNS = columns_of(Ticket, without=("owner_id", "kind_version", "slots"))
IMAGE_COLUMNS = columns_of(
    Image,
    without=("ticket_id", "guest_link_id", "request_id", "asset_id", "next_check_at", "updated_at"),
)


class TicketThenSerializer(TicketSerializer):
    """A ticket as lists show it, as it was at the event."""

    class Meta:
        ref_name = "TicketThen"

    missing = shown(
        ListField,
        [],
        child=CharField(),
        read=attrgetter("missing_then"),
        help_text=f"The names of the first {MISSING_AT_MOST} slots that no photo had taken.",
    )


class ImageThenSerializer(ImageSerializer):
    """A photo as it was at the event."""

    class Meta:
        ref_name = "ImageThen"

    slot = shown(CharField, None, read=attrgetter("slot_then"), allow_null=True, help_text="The name of its place.")


class PublicAddress:
    """Stands for the request, where there is none, to what makes absolute URLs."""

    GET: ClassVar[dict] = {}

    @staticmethod
    def build_absolute_uri(path: str) -> str:
        return public_url(path)


def told_by(facts: str) -> str:
    """Returns the data that tells these facts, both as JSON."""
    facts, context = json.loads(facts), {"request": PublicAddress()}
    ticket = _row_of(Ticket, facts["ticket"])
    ticket.counted, ticket.missing_then = Progress.of(ticket, facts["counts"] or {}), facts["missing"] or []
    with translation.override("en"):
        data = {"ticket": TicketThenSerializer(context=context).to_representation(ticket)}
        if facts["image"]:
            image = _row_of(Image, facts["image"])
            image.slot_then = facts["slot"]
            data["image"] = ImageThenSerializer(context=context).to_representation(image)
    return json.dumps(data | {"sequence": ticket.version}, ensure_ascii=False)


def _row_of(model: type[Model], columns: dict) -> Model:
    """The instance of these columns as they are in JSON. Those that came to the model since have their defaults."""
    fields = {field.attname: field for field in model._meta.concrete_fields}
    return model(**{name: fields[name].to_python(value) for name, value in columns.items() if name in fields})
