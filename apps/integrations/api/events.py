"""The feed of events: what happened to one's tickets, from the oldest on, for those who catch up or ask."""

import uuid

import django_filters
from django.db import connection
from django.db.models import BooleanField, Q
from django.db.models.expressions import RawSQL
from django_filters.rest_framework import DjangoFilterBackend
from drf_yasg.utils import swagger_auto_schema
from rest_framework.generics import ListAPIView
from rest_framework.pagination import BasePagination
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from apps.common.api.filters import AnyOfFilter, PositiveIntegerFilter
from apps.common.api.list_query import ListQueryMixin
from apps.common.api.pagination import LINK, PAGE_SIZE_PARAMETER, page_size_of
from apps.integrations.api import events_schema as schema
from apps.integrations.api.events_serializers import EventSerializer
from apps.integrations.errors import EventsExpiredError, UnknownEventError
from apps.integrations.models import Event, EventType
from apps.integrations.models.event import kept_since, moment_of
from apps.integrations.models.positions import first_unsettled

AFTER_PARAMETER = {
    "name": "after",
    "in": "query",
    "description": "The id of the last event that you have seen: those after it follow. Left out: from the oldest that "
    "is kept.",
    "schema": {"type": "string", "format": "uuid", "allow_empty_value": True},
}


class EventFilter(django_filters.FilterSet):
    type = AnyOfFilter(
        choices=EventType.choices,
        method="of_types",
        help_text="Any of these: `type=ticket.completed&type=ticket.expired`.",
    )
    ticket = PositiveIntegerFilter(field_name="ticket_id", help_text="The number of a ticket, which may be deleted.")

    class Meta:
        model = Event
        fields = ["type", "ticket"]

    def of_types(self, events, name, types):
        if not types:
            return events
        # What no stored photo can be is in an index of its own.
        others_alone = Q() if EventType.IMAGE_STORED in types else ~Q(type=EventType.IMAGE_STORED.value)
        return events.filter(others_alone, type__in=types)


class EventPages(BasePagination):
    """`?after=`: the events after that one, so that no page costs more than the first."""

    def paginate_queryset(self, queryset, request, view=None):
        page_size = page_size_of(request)
        events = queryset.filter(position__lt=first_unsettled(connection)).order_by("position", "id")
        if after := request.query_params.get("after"):
            events = events.filter(_beyond(_find(after, request.user)))
        # By their keys, which the index holds: rows that are filtered out are never read.
        keys = list(events.values_list("pk", flat=True)[: page_size + 1])
        self._next = None
        if len(keys) > page_size:
            self._next = replace_query_param(request.build_absolute_uri(), "after", keys[page_size - 1])
        page = list(Event.objects.filter(pk__in=keys[:page_size]).order_by("position", "id"))
        Event.objects.settle(page)
        return page

    def get_paginated_response(self, data):
        return Response({"next": self._next, "results": data})

    def get_schema_operation_parameters(self, view):
        return [AFTER_PARAMETER, PAGE_SIZE_PARAMETER]

    def get_paginated_response_schema(self, schema):
        following = LINK | {"description": "The next page; null at the end. Then go on later, after the last id."}
        return {"type": "object", "required": ["next", "results"], "properties": {"next": following, "results": schema}}


class EventsView(ListQueryMixin, ListAPIView):
    """One's own events; staff have the admin for those of others."""

    queryset = Event.objects.none()
    serializer_class = EventSerializer
    filter_backends = [DjangoFilterBackend]
    filterset_class = EventFilter
    pagination_class = EventPages

    def get_queryset(self):
        return Event.objects.visible_to(self.request.user)

    @swagger_auto_schema(**schema.LIST_EVENTS)
    def get(self, request):
        return super().get(request)


def _find(after: str, reader) -> Event:
    """Returns the event of this id. Raises UnknownEventError, EventsExpiredError."""
    try:
        event_id = uuid.UUID(after) if len(after) == 36 else None  # it reads other spellings, too
    except ValueError:
        event_id = None
    if event_id is None:
        raise UnknownEventError
    event = Event.objects.visible_to(reader).filter(pk=event_id).only("position").first()
    if event is not None:
        return event
    made_at = moment_of(event_id)
    if made_at is not None and made_at < kept_since().timestamp():
        raise EventsExpiredError
    raise UnknownEventError


def _beyond(event: Event) -> RawSQL:
    """The condition that an event comes after this one. As rows, which an index is entered with."""
    key = [event.position, Event._meta.pk.get_db_prep_value(event.pk, connection)]
    condition = "(integrations_event.position, integrations_event.id) > (%s, %s)"
    return RawSQL(condition, key, output_field=BooleanField())  # noqa: S611  the values are parameters
