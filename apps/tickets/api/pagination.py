"""Pages of tickets: numbered ones with a count, or cursor pages whose cost does not grow with depth."""

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime

from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

from apps.common.api.pagination import NumberedPages, SearchPaginator, page_size_of
from apps.common.api.timestamps import in_utc


class NewestFirstCursor(BasePagination):
    """`?cursor=`: pages by (created_at, id), so that neither depth nor many equal moments cost anything.

    The token is opaque to clients: base64 of [direction, created_at, id] of the row at the page's edge.
    """

    def paginate_queryset(self, queryset, request, view=None):
        self._url = request.build_absolute_uri()
        self._page_size = page_size_of(request)
        self._descending = self._wants_descending(request)
        backwards, edge = self._decode(request.query_params["cursor"])
        beyond = self._beyond(queryset, edge, backwards)
        # By their keys, which the index holds: rows that are filtered out are never read.
        page = list(beyond.filter(pk__in=beyond.values("pk")[: self._page_size + 1]))
        more = len(page) > self._page_size
        self.page = page[: self._page_size]
        if backwards:
            self.page.reverse()
        self._has_next = more if not backwards else edge is not None
        self._has_previous = edge is not None if not backwards else more
        return self.page

    def get_paginated_response(self, data):
        first, last = (self.page[0], self.page[-1]) if self.page else (None, None)
        return Response(
            {
                "next": self._link("n", last) if self._has_next and last else None,
                "previous": self._link("p", first) if self._has_previous and first else None,
                "results": data,
            }
        )

    @staticmethod
    def _wants_descending(request) -> bool:
        ordering = request.query_params.get("ordering") or "-created_at"
        if ordering not in ("created_at", "-created_at"):
            message = _("Cursor pages are ordered by created_at or -created_at alone.")
            raise ValidationError({"ordering": [message]}, code="invalid")
        return ordering == "-created_at"

    def _beyond(self, queryset, edge, backwards):
        falling = self._descending != backwards
        if edge is not None:
            created_at, pk = edge
            side = "lt" if falling else "gt"
            # The first condition is implied by the second; it is the one the index is entered with.
            queryset = queryset.filter(**{f"created_at__{side}e": created_at}).filter(
                Q(**{f"created_at__{side}": created_at}) | Q(created_at=created_at, **{f"pk__{side}": pk})
            )
        return queryset.order_by("-created_at", "-pk") if falling else queryset.order_by("created_at", "pk")

    def _link(self, direction: str, row) -> str:
        edge = json.dumps([direction, row.created_at.isoformat(), row.pk])
        url = remove_query_param(self._url, "page")
        return replace_query_param(url, "cursor", urlsafe_b64encode(edge.encode()).decode().rstrip("="))

    @staticmethod
    def _decode(token: str):
        if not token:
            return False, None
        try:
            padded = token + "=" * (-len(token) % 4)
            direction, moment, pk = json.loads(urlsafe_b64decode(padded))
            created_at = in_utc(datetime.fromisoformat(moment))
            if direction not in ("n", "p") or type(pk) is not int or not 0 <= pk < 2**63:
                raise ValueError(token)
        except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError) as exc:
            raise ValidationError({"cursor": [_("This cursor was not made by this API.")]}, code="invalid") from exc
        return direction == "p", (created_at, pk)


COUNT_IS_MINIMUM = {
    "type": "boolean",
    "description": "Only of a search that finds more than `count`: by numbers no more pages are shown.",
}
CURSOR_PARAMETER = {
    "name": "cursor",
    "in": "query",
    "description": "Switches to cursor pages, whose cost does not grow with depth: empty for the first one; the others "
    "are in `next` and `previous`.",
    "schema": {"type": "string", "allow_empty_value": True},
}


class SearchPages(NumberedPages):
    """Numbered pages of what a search found, as many as SearchPaginator shows."""

    django_paginator_class = SearchPaginator

    def get_paginated_response(self, data):
        response = super().get_paginated_response(data)
        if self.page.paginator.count_is_minimum:
            response.data["count_is_minimum"] = True
        return response


class TicketPages(BasePagination):
    """Cursor pages when the request names a cursor (an empty one starts), numbered pages otherwise."""

    def paginate_queryset(self, queryset, request, view=None):
        if "cursor" in request.query_params:
            self._pages = NewestFirstCursor()
        else:
            self._pages = SearchPages() if request.query_params.get("search") else NumberedPages()
        return self._pages.paginate_queryset(queryset, request, view)

    def get_paginated_response(self, data):
        return self._pages.get_paginated_response(data)

    def get_schema_operation_parameters(self, view):
        return [*NumberedPages().get_schema_operation_parameters(view), CURSOR_PARAMETER]

    def get_paginated_response_schema(self, schema):
        numbered = NumberedPages().get_paginated_response_schema(schema)
        return numbered | {
            "properties": numbered["properties"] | {"count_is_minimum": COUNT_IS_MINIMUM},
            "description": "A numbered page, or a cursor page: that one has no `count`.",
            "required": ["next", "previous", "results"],
        }
