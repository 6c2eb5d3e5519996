"""Numbered pages of a list, with a count."""

from django.core.paginator import InvalidPage
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
LINK = {"type": "string", "format": "uri", "nullable": True}


class NumberedPages(PageNumberPagination):
    """`?page=&page_size=`. A page past the last is 404; what is not a number is 400."""

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
                "count": {"type": "integer", "format": "int64", "minimum": 0, "description": "Of all pages together."},
                "next": LINK | {"description": "The next page."},
                "previous": LINK | {"description": "The previous page."},
                "results": schema,
            },
        }
