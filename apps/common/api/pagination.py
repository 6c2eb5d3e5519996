"""Numbered pages of a list, with a count; both are cheap for lists of any length.

Private parts of Django 5.2.19: `django.core.paginator.Paginator._get_page`.
"""

from functools import cached_property
from hashlib import sha256

from django.core.cache import cache
from django.core.paginator import InvalidPage, Paginator
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import PageNumberPagination

DEFAULT_PAGE_SIZE = 20
MAX_PAGE_SIZE = 100
MAX_PAGE = 2**31 - 1


def page_size_of(request) -> int:
    return _positive(request, "page_size", default=DEFAULT_PAGE_SIZE, maximum=MAX_PAGE_SIZE)


def _positive(request, name: str, *, default: int, maximum: int) -> int:
    value = request.query_params.get(name, "")
    if not value:
        return default
    if not (value.isascii() and value.isdigit() and len(value) < 19 and 1 <= int(value) <= maximum):
        message = _("Use a whole number from 1 to {maximum}.").format(maximum=maximum)
        raise ValidationError({name: [message]}, code="invalid")
    return int(value)


PAGE_PARAMETER = {
    "name": "page",
    "in": "query",
    "description": "The number of the page, from 1.",
    "schema": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 1, "allow_empty_value": True},
}
PAGE_SIZE_PARAMETER = {
    "name": "page_size",
    "in": "query",
    "description": "How many a page holds.",
    "schema": PAGE_PARAMETER["schema"] | {"maximum": MAX_PAGE_SIZE, "default": DEFAULT_PAGE_SIZE},
}
COUNT_DESCRIPTION = "Of all pages together. Beyond 10,000 it may be a minute old."
LINK = {"type": "string", "format": "uri", "nullable": True}


class LongListPaginator(Paginator):
    """Django's paginator for lists of any length, in the order of an index.

    Up to `exact_up_to` rows are counted on each request. More take PostgreSQL 5 ms and longer, so each process counts
    them once in `kept_seconds`. A page is found by its keys alone, from the nearer end: they are in the index, and rows
    that are skipped or filtered out are never read.
    """

    exact_up_to = 10_000
    kept_seconds = 60

    @cached_property
    def count(self) -> int:
        rows = self.object_list.order_by()
        counted = rows[: self.exact_up_to + 1].count()
        return counted if counted <= self.exact_up_to else self._kept_count(rows)

    def page(self, number):
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        return self._get_page(self._rows(first, min(first + self.per_page, self.count)), number, self)

    def _rows(self, first: int, end: int):
        rows = self.object_list
        if first > self.count // 2:
            keys = rows.reverse().values("pk")[self.count - end : self.count - first]
        else:
            keys = rows.values("pk")[first:end]
        return rows.filter(pk__in=keys)

    def _kept_count(self, rows) -> int:
        sql, parameters = rows.query.sql_with_params()
        key = "count:" + sha256(f"{sql} {parameters}".encode()).hexdigest()
        return cache.get_or_set(key, rows.count, self.kept_seconds)


class SearchPaginator(Paginator):
    """Shows the first `most` rows that a search finds, and counts no further, since that takes reading them all.

    One query serves the count and the page.
    """

    most = 500

    @cached_property
    def _keys(self) -> list:
        return list(self.object_list.values_list("pk", flat=True)[: self.most + 1])

    @property
    def count(self) -> int:
        return min(len(self._keys), self.most)

    @property
    def count_is_minimum(self) -> bool:
        return len(self._keys) > self.most

    def page(self, number):
        number = self.validate_number(number)
        keys = self._keys[: self.most][(number - 1) * self.per_page : number * self.per_page]
        return self._get_page(self.object_list.filter(pk__in=keys), number, self)


class NumberedPages(PageNumberPagination):
    """Pages by `?page=&page_size=`. A page past the last is a 404, a value that is not a number a 400."""

    django_paginator_class = LongListPaginator

    def paginate_queryset(self, queryset, request, view=None):
        self.request = request
        number = _positive(request, "page", default=1, maximum=MAX_PAGE)
        paginator = self.django_paginator_class(queryset, page_size_of(request))
        try:
            self.page = paginator.page(number)
        except InvalidPage as exc:
            raise NotFound(_("There is no page {number}.").format(number=number)) from exc
        return list(self.page)

    def get_schema_operation_parameters(self, view):
        return [PAGE_PARAMETER, PAGE_SIZE_PARAMETER]

    def get_paginated_response_schema(self, schema):
        return {
            "type": "object",
            "required": ["count", "next", "previous", "results"],
            "properties": {
                "count": {"type": "integer", "format": "int64", "minimum": 0, "description": COUNT_DESCRIPTION},
                "next": LINK | {"description": "The next page."},
                "previous": LINK | {"description": "The previous page."},
                "results": schema,
            },
        }
