"""The query string of a list: which parameters it may have, and how clients spell them.

An unknown name is refused, because a misspelt filter must not show everything.
"""

import re

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError

SAFE_METHODS = ("GET", "HEAD")
IN_BRACKETS = re.compile(r"(.+?)\[\d*\]", re.DOTALL)  # status[]= as axios and jQuery write it, status[0]= as PHP does
NO_PARAMETER = "_"  # jQuery adds it to bypass caches
MEANT_WHEN_EMPTY = "cursor"
MAX_UNKNOWN_NAMED = 10


class UnknownParameterError(ValidationError):
    default_code = "unknown_parameter"
    default_detail = _("This list does not know a parameter of the query; `errors` says which.")


class ListQueryMixin:
    """Mixin of list views: normalizes the query string before filters and pages read it.

    `name[]=` and `name[0]=` mean `name=`, an empty value is treated as left out (except a cursor's, which means the
    start), and several `ordering`s are joined. The links to other pages are spelt this way, too.
    """

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        if request.method in SAFE_METHODS:
            read_query(request._request, known_parameters(self))


def known_parameters(view) -> list[str]:
    """Returns the names that the filters and pages of the view read."""
    filterset_class = getattr(view, "filterset_class", None)
    names = list(filterset_class.base_filters) if filterset_class else []
    for source in (*(backend() for backend in view.filter_backends), view.paginator):
        described = getattr(source, "get_schema_operation_parameters", lambda view: [])(view)
        names += [parameter["name"] for parameter in described]
    return names


def read_query(request, known: list[str]) -> None:
    """Normalize the query of this HttpRequest in place. Raises UnknownParameterError."""
    if not request.GET:
        return
    plain = request.GET.copy()
    plain.clear()
    unknown = []
    for sent, values in request.GET.lists():
        match = IN_BRACKETS.fullmatch(sent)
        name = match[1] if match else sent
        if name in known:
            for value in values:
                if value or name == MEANT_WHEN_EMPTY:
                    plain.appendlist(name, value)
        elif name != NO_PARAMETER:
            unknown.append(sent)
    if unknown:
        message = _("There is no such parameter here; those known are {known}.").format(known=", ".join(known))
        raise UnknownParameterError({name: [message] for name in unknown[:MAX_UNKNOWN_NAMED]}, code="unknown_parameter")
    if "ordering" in plain:
        plain["ordering"] = ",".join(plain.getlist("ordering"))
    request.GET = plain
    request.META["QUERY_STRING"] = plain.urlencode()
