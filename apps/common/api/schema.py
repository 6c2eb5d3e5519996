"""The published schema, /swagger.json, and the two pages that show it: Swagger UI and ReDoc.

The schema.py of each app describes its operations; this module adds what they have in common.
"""

import copy
import re
from collections import defaultdict
from functools import cache, singledispatch

import django_filters
from csp.constants import SELF, UNSAFE_INLINE
from csp.decorators import csp_replace
from django.urls import get_resolver
from django.urls.converters import IntConverter, SlugConverter
from django.utils import translation
from drf_yasg import openapi
from drf_yasg.generators import EndpointEnumerator, OpenAPISchemaGenerator
from drf_yasg.inspectors import FieldInspector, FilterInspector, NotHandled, SwaggerAutoSchema
from drf_yasg.renderers import ReDocRenderer, SwaggerJSONRenderer, SwaggerUIRenderer
from drf_yasg.views import get_schema_view
from rest_framework import serializers
from rest_framework.permissions import AllowAny

from apps.common.api.filters import MomentFilter, PositiveIntegerFilter
from apps.common.api.operations import Refusal
from apps.common.api.path_ids import AnyCaseUUIDConverter
from apps.common.api.timestamps import FILTER_PATTERN

PROBLEM = openapi.Schema(
    type=openapi.TYPE_OBJECT,
    description="Problem details (RFC 9457): why a request was refused.",
    required=["type", "title", "status", "detail", "code", "request_id"],
    properties={
        "type": openapi.Schema(
            type=openapi.TYPE_STRING,
            description="`about:blank`, but for `upload_offset_mismatch`: `code` tells problems apart.",
        ),
        "title": openapi.Schema(type=openapi.TYPE_STRING, description="The status in words, by Accept-Language."),
        "status": openapi.Schema(type=openapi.TYPE_INTEGER, minimum=400, maximum=599),
        "detail": openapi.Schema(type=openapi.TYPE_STRING, description="What went wrong, by Accept-Language."),
        "code": openapi.Schema(type=openapi.TYPE_STRING, description="What went wrong, stable and in English."),
        "request_id": openapi.Schema(type=openapi.TYPE_STRING, description="The same as the header X-Request-ID."),
        "errors": openapi.Schema(
            type=openapi.TYPE_ARRAY,
            description="For invalid input: where it is.",
            items=openapi.Schema(
                type=openapi.TYPE_OBJECT,
                required=["field", "code", "detail"],
                properties={
                    "field": openapi.Schema(
                        type=openapi.TYPE_STRING, x_nullable=True, description="Null when it is none in particular."
                    ),
                    "code": openapi.Schema(type=openapi.TYPE_STRING),
                    "detail": openapi.Schema(type=openapi.TYPE_STRING),
                },
            ),
        ),
    },
    example={
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "Every place of this ticket is taken.",
        "code": "ticket_full",
        "request_id": "0f4b6c1d2e8a4f0c9d3b7a6e5c4d3b2a",
    },
)

REQUEST_ID = {
    "X-Request-ID": {"type": "string", "description": "The id of this request in our logs.", "x-required": True}
}
WAIT = {"type": "integer", "minimum": 1, "description": "Try again after this many seconds.", "x-required": True}
HEADERS_BY_STATUS = {
    401: {"WWW-Authenticate": {"type": "string", "description": "How to authenticate.", "x-required": True}},
    403: {"WWW-Authenticate": {"type": "string", "description": "With `insufficient_scope`: a scope that would do."}},
    409: {"Retry-After": WAIT | {"x-required": False}},
    415: {"Accept-Encoding": {"type": "string", "description": "`identity`, with `unsupported_encoding`."}},
    429: {"Retry-After": WAIT},
    503: {"Retry-After": WAIT},
}

BAD_CREDENTIALS = [
    Refusal(401, "authentication_failed", "The token is unknown or has expired, or the user is inactive."),
    Refusal(401, "token_not_valid", "The JWT is malformed, expired or ended."),
    Refusal(401, "bad_authorization_header", "`Authorization` is not of the form `Bearer <JWT>`."),
    Refusal(401, "user_not_found", "The JWT's user is gone."),
    Refusal(401, "user_inactive", "The user of the JWT or of the API key is inactive."),
]
NO_CREDENTIALS = Refusal(401, "not_authenticated", "No credentials came.")
NOT_FOUND = Refusal(404, "not_found", "There is no such object, or it is not yours.")
NO_SUCH_PAGE = Refusal(404, "not_found", "The page is past the last one.")
BAD_FILTER = Refusal(400, "invalid", "A filter, the order or the page makes no sense; `errors` says which.")
UNKNOWN_PARAMETER = Refusal(400, "unknown_parameter", "The query has a parameter that this list does not know.")
JSON_BODY = [
    Refusal(400, "invalid", "A field is missing or wrong; `errors` says which."),
    Refusal(400, "parse_error", "The body is not well-formed JSON, or has a name twice in one object."),
    Refusal(413, "request_too_large", "The body is too large."),
    Refusal(415, "unsupported_media_type", "The Content-Type is not application/json."),
]
ANY_BODY = [
    Refusal(400, "body_incomplete", "The connection ended before the whole body arrived."),
    Refusal(400, "body_malformed", "The chunks of the body make no sense, or are many and tiny."),
    Refusal(408, "body_too_slow", "The body arrived too slowly."),
    Refusal(415, "unsupported_encoding", "The body has a Content-Encoding: send it as it is."),
]
THROTTLED = Refusal(429, "throttled", "Too many requests.")
EVERYWHERE = [
    Refusal(500, "internal_error", "Something went wrong on our side."),
    Refusal(503, "temporarily_unavailable", "The database or Redis is away. Nothing was kept."),
]

NO_NUL = r"^[^\u0000]*$"
NOT_BLANK = r"^[^\u0000]*[^\s\u0000\u001c-\u001f\u0085][^\u0000]*$"


class CompleteFieldInspector(FieldInspector):
    """Adds what drf-yasg leaves out: the text that REST framework refuses, and the empty choice."""

    def process_result(self, result, method_name, obj, **kwargs):
        if isinstance(obj, serializers.CharField) and not {"pattern", "format"} & result.keys():
            result.pattern = NO_NUL if obj.allow_blank or not obj.trim_whitespace else NOT_BLANK
        if isinstance(obj, serializers.ChoiceField) and obj.allow_blank:
            result.enum = ["", *result.enum]
        if isinstance(obj, serializers.ChoiceField) and obj.allow_null:
            result.enum = [*result.enum, None]  # otherwise null is invalid, although the field is nullable
        return result


PLACEHOLDER = re.compile(r"<(?:\w+:)?(\w+)>")  # in a route
MAY_BE_EMPTY = {"allow_empty_value": True}  # as forms send it; an empty value counts as not sent


@singledispatch
def form_of(filter) -> dict:
    """Returns the type and constraints of the query parameter that a filter reads."""
    raise NotImplementedError(f"The schema does not know {type(filter).__name__}: register it with form_of.")


@form_of.register
def _(filter: django_filters.CharFilter):
    return {"type": openapi.TYPE_STRING, "max_length": filter.extra["max_length"], "pattern": NO_NUL} | MAY_BE_EMPTY


@form_of.register
def _(filter: PositiveIntegerFilter):
    form = {"type": openapi.TYPE_INTEGER, "format": openapi.FORMAT_INT64, "minimum": 1, "maximum": 2**63 - 1}
    return form | MAY_BE_EMPTY


@form_of.register
def _(filter: MomentFilter):
    return {"type": openapi.TYPE_STRING, "pattern": FILTER_PATTERN}


@form_of.register
def _(filter: django_filters.MultipleChoiceFilter):
    return several_of([value for value, _ in filter.extra["choices"]], "multi") | MAY_BE_EMPTY


@form_of.register
def _(filter: django_filters.OrderingFilter):
    return several_of([value for value, _ in filter.extra["choices"]], "csv") | MAY_BE_EMPTY


def several_of(values: list, collection_format: str) -> dict:
    items = openapi.Items(type=openapi.TYPE_STRING, enum=values)
    return {"type": openapi.TYPE_ARRAY, "items": items, "collection_format": collection_format}


class TypedFilterInspector(FilterInspector):
    """Describes filters by type; drf-yasg's own inspector describes each as a string."""

    def get_filter_parameters(self, filter_backend):
        if not hasattr(filter_backend, "get_filterset_class"):
            return NotHandled
        filters = filter_backend.get_filterset_class(self.view, self.view.queryset).base_filters
        return [
            openapi.Parameter(name, openapi.IN_QUERY, str(filter.extra.get("help_text", "")), **form_of(filter))
            for name, filter in filters.items()
        ]


def no_refusals(route_name: str, method: str) -> list[type]:
    """An authenticator may have such a method, for the errors that it raises there besides BAD_CREDENTIALS."""
    return []


def no_scopes(route_name: str, method: str) -> None:
    """An authenticator may have such a method, for the scopes that allow it there, each by itself; empty: none does."""
    return


@cache
def route_names() -> dict[str, str]:
    """The names of the routes, by their paths as the schema has them."""
    return dict(_names_of(get_resolver(URLCONF).url_patterns, "/"))


def _names_of(routes, prefix: str):
    for route in routes:
        path = prefix + PLACEHOLDER.sub(r"{\1}", str(route.pattern))
        if hasattr(route, "url_patterns"):
            yield from _names_of(route.url_patterns, path)
        else:
            yield path, route.name


class HoplaAutoSchema(SwaggerAutoSchema):
    """Describes one operation, with the refusals and headers that its kind implies."""

    field_inspectors = [CompleteFieldInspector, *SwaggerAutoSchema.field_inspectors]
    filter_inspectors = [TypedFilterInspector, *SwaggerAutoSchema.filter_inspectors]

    def get_operation(self, operation_keys=None):
        operation = super().get_operation(operation_keys)
        for authenticator in self.view.get_authenticators():
            scopes = getattr(authenticator, "scopes", no_scopes)(route_names()[self.path], self.method)
            if scopes is not None:
                operation["x-scopes"] = [str(scope) for scope in scopes]
                told = " or ".join(f"`{scope}`" for scope in operation["x-scopes"])
                told = f"With an API key: scope {told}." if told else "Not with an API key."
                operation["description"] = f"{operation['description']}\n\n{told}"
        return operation

    def get_responses(self):
        responses = super().get_responses()
        for status, refusals in self._refusals_by_status().items():
            responses[str(status)] = self._problem_response(refusals)
        for status, response in responses.items():
            of_status = HEADERS_BY_STATUS.get(int(status), {})
            response["headers"] = REQUEST_ID | of_status | (response.get("headers") or {})
            response["description"] = response["description"] or "A page of the list."
        return openapi.Responses(dict(sorted(responses.items())))

    def get_produces(self):
        """Returns no type where a response may have no body: Swagger 2.0 cannot say that of a single status."""
        if {204, 304} & self.overrides.get("responses", {}).keys():
            return []
        return [*self.overrides.get("produces", ["application/json"]), "application/problem+json"]

    def get_paginated_response(self, response_schema):
        """Returns a named definition, so that a generated client has a class for the page."""
        page = super().get_paginated_response(response_schema)
        definitions = self.components.with_scope(openapi.SCHEMA_DEFINITIONS)
        name = response_schema["items"]["$ref"].rpartition("/")[2] + "Page"
        definitions.setdefault(name, lambda: page)
        return openapi.SchemaRef(definitions, name)

    def make_body_parameter(self, schema):
        """Make the body required only if a field is: no body counts as an empty object."""
        parameter = super().make_body_parameter(schema)
        parameter.required = bool(openapi.resolve_ref(schema, self.components).get("required"))
        return parameter

    def get_consumes(self):
        return self.overrides.get("consumes") or (["application/json"] if self._takes_json() else [])

    def _refusals_by_status(self) -> dict[int, list[Refusal]]:
        by_status = defaultdict(list)
        for refusal in [*self.overrides.get("refusals", ()), *self._common_refusals()]:
            by_status[refusal.status].append(refusal)
        return by_status

    def _common_refusals(self):
        if self._takes_json():
            yield from JSON_BODY
        if self.get_consumes():
            yield from ANY_BODY
        if self.should_filter() or self.should_page():
            yield BAD_FILTER
            yield UNKNOWN_PARAMETER
        if self.get_security() is None:
            yield NO_CREDENTIALS
        if self.view.get_authenticators():  # also on public operations, which refuse wrong credentials
            yield from BAD_CREDENTIALS
            for authenticator in self.view.get_authenticators():
                errors = getattr(authenticator, "refusals", no_refusals)(route_names()[self.path], self.method)
                yield from map(Refusal.of, errors)
        if "{" in self.path:
            yield NOT_FOUND
        if any(each["name"] == "page" for each in self._parameters_of_pages()):
            yield NO_SUCH_PAGE
        if self.method == "POST" and getattr(self.view, "throttle_scope", None):
            yield THROTTLED
        yield from EVERYWHERE

    def _parameters_of_pages(self) -> list[dict]:
        return self.view.paginator.get_schema_operation_parameters(self.view) if self.should_page() else []

    def _takes_json(self) -> bool:
        is_form = bool(self.overrides.get("consumes"))
        return self.method in self.body_methods and not is_form and self.get_request_serializer() is not None

    def _problem_response(self, refusals: list[Refusal]) -> openapi.Response:
        definitions = self.components.with_scope(openapi.SCHEMA_DEFINITIONS)
        definitions.setdefault("Problem", lambda: PROBLEM)
        described = "\n".join(f"- `{code}`: {sentence}" for _, code, sentence in dict.fromkeys(refusals))
        return openapi.Response(described, openapi.SchemaRef(definitions, "Problem"))


TAGS = [  # in the order of the pages
    {
        "name": "tickets",
        "description": "A ticket says how many photos make a set complete, and how far it is.",
    },
    {"name": "images", "description": "The photos of a ticket, on their way to Cloudinary and there."},
    {"name": "guests", "description": "Links for people without an account, each good for the photos of one ticket."},
    {"name": "uploads", "description": "Photos sent in pieces, which go on where a bad network cut them off."},
    {"name": "events", "description": "What happened to tickets and photos, for programs that keep up with it."},
    {"name": "direct uploads", "description": "Photos that clients send to Cloudinary themselves."},
    {"name": "webhooks", "description": "What happens to your tickets, posted to an address of yours."},
    {"name": "api-keys", "description": "Keys for programs, each with scopes: what it may do."},
    {"name": "auth", "description": "Users and their tokens."},
    {"name": "support", "description": "Conversations with the people who run this service."},
]

PATH_PARAMETERS = {
    IntConverter: {"type": openapi.TYPE_INTEGER, "format": openapi.FORMAT_INT64, "minimum": 1},
    AnyCaseUUIDConverter: {"type": openapi.TYPE_STRING, "format": openapi.FORMAT_UUID},
    SlugConverter: {"type": openapi.TYPE_STRING, "pattern": f"^{SlugConverter.regex}$"},
}


URLCONF = "hopla.urls"  # fixed, since the schema is built once and must not depend on the first request's URLconf


class EndpointsWithHead(EndpointEnumerator):
    """Lists HEAD, too, where a view has its own."""

    def get_allowed_methods(self, callback):
        return [*super().get_allowed_methods(callback), *(["HEAD"] if hasattr(callback.cls, "head") else [])]


class HoplaSchemaGenerator(OpenAPISchemaGenerator):
    endpoint_enumerator_class = EndpointsWithHead
    default_mapping = OpenAPISchemaGenerator.default_mapping | {"head": "retrieve"}
    _complete = None  # built once per process: it takes 0.1 s of CPU time, and the page is public

    def get_schema(self, request, public=False):
        if HoplaSchemaGenerator._complete is None:
            with translation.override("en"):
                schema = super().get_schema(request, public=True)
            tell_input_from_answers(schema)
            schema.tags = TAGS
            del schema["produces"]  # each operation has its own
            if not schema.paths:  # drf-yasg skips views that it cannot inspect: such a schema is not cached
                return schema
            HoplaSchemaGenerator._complete = schema
        schema = copy.copy(self._complete)
        schema.host, schema.schemes = request.get_host(), [request.scheme]
        return schema

    def get_endpoints(self, request):
        return {path: endpoint for path, endpoint in super().get_endpoints(request).items() if path.startswith("/api/")}

    def get_path_parameters(self, path, view_cls):
        """Returns the path parameters by the converters of the routes; drf-yasg guesses from the models."""
        parameters = super().get_path_parameters(path, view_cls)
        converters = converters_of(get_resolver(URLCONF).url_patterns)
        for parameter in parameters:
            parameter.update(PATH_PARAMETERS[type(converters[parameter.name])])
            parameter.description = f"The id of the {parameter.name.removesuffix('_id').replace('_', ' ')}."
        return parameters


def tell_input_from_answers(schema: openapi.Swagger) -> None:
    """Make the definitions of request bodies differ from those of responses, which drf-yasg describes alike.

    A request body has no read-only fields. A response always has all of its fields (problems and pages define theirs
    themselves), and no constraints on input.
    """
    operations = [operation for path in schema.paths.values() for _, operation in path.operations]
    bodies = [
        parameter.schema for operation in operations for parameter in operation.parameters if "schema" in parameter
    ]
    inputs = set()
    for body in bodies:
        _add_with_parts(inputs, body, schema.definitions)
    for name, definition in schema.definitions.items():
        for each in definition.properties.values():
            each.pop("title", None)
        if name in inputs:
            definition["properties"] = {
                field: each for field, each in definition.properties.items() if not each.get("readOnly")
            }
        elif name != "Problem" and not name.endswith("Page"):
            optional = [*definition.get("x-not-for-guests", ()), *definition.get("x-not-in-each", ())]
            if required := [field for field in definition.properties if field not in optional]:
                definition.required = required
            for each in definition.properties.values():
                as_answered(each)


def _add_with_parts(names: set[str], schema: openapi.Schema, definitions) -> None:
    """The definition that the schema refers to, if it does, and all that this one is made of."""
    if "items" in schema:
        _add_with_parts(names, schema["items"], definitions)
    name = schema.get("$ref", "").rpartition("/")[2]
    if name and name not in names:
        names.add(name)
        for each in definitions[name].properties.values():
            _add_with_parts(names, each, definitions)


def as_answered(field: openapi.Schema) -> None:
    for part in ("items", "additionalProperties"):
        if part in field:
            as_answered(field[part])
    for constraint in ("readOnly", "minLength", "maxLength", "pattern"):
        field.pop(constraint, None)
    if field.get("type") == openapi.TYPE_INTEGER:
        field.format = openapi.FORMAT_INT64


def converters_of(routes) -> dict:
    """Returns the converter of each variable in these routes, by the variable's name."""
    found = {}
    for route in routes:
        found |= getattr(route.pattern, "converters", {})
        found |= converters_of(getattr(route, "url_patterns", ()))
    return found


# --- The pages ---

DESCRIPTION = """\
Collect a declared set of photos and know for certain when the set is complete: open a ticket for N photos, post them
one by one, and the ticket is `completed` when the last one is stored.

**Credentials.** `POST auth/login/` answers a token; send it as `Authorization: Token <token>`. A JWT of
`POST auth/jwt/create/` goes into `Authorization: Bearer <access>`. The token of a guest link goes into
`Authorization: Guest <token>`: it may read its ticket (without `reference` and `metadata`), the ticket's images and all
kinds, and send photos; anything else is 403 `guest_not_allowed`. A program is best given an API key of
`POST api-keys/`: `Authorization: Token hopla_…`. Each operation says which scope allows it; anything else is 403
`insufficient_scope`.

**Form.** JSON in UTF-8, moments in ISO 8601 and UTC, paths with a final slash. Every answer carries `X-Request-ID`: the
client's own, when it sent one of 1 to 128 letters, digits and `._:-`. What is sent may be written in more ways: moments
with `Z`, `+02:00`, `+0200` or `+02`, with 0 to 9 digits of fraction, or without seconds; `null` for a field that may be
left out. A list refuses a parameter that it does not know; an empty one counts as left out, and `name[]=` as `name=`.

**Errors** are problem details (RFC 9457, `application/problem+json`). Go by their `code`: it is stable and in English,
while `title` and `detail` follow Accept-Language. Another user's object answers 404, as does one that does not exist.
After 429 and 503 wait as long as `Retry-After` says.
"""

# Both pages use style elements and data: images; ReDoc searches in a worker that it creates from a blob.
show_documentation = csp_replace(
    {
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF, "data:"],
        "worker-src": [SELF, "blob:"],
    }
)

SchemaView = get_schema_view(
    openapi.Info(
        title="hopla",
        default_version="v1",
        description=re.sub(r"(?<!\n)\n(?!\n)", " ", DESCRIPTION).strip(),  # Swagger UI breaks lines where the text does
        license=openapi.License(name="MIT", url="https://opensource.org/license/mit"),
    ),
    public=True,
    urlconf=URLCONF,
    generator_class=HoplaSchemaGenerator,
    authentication_classes=[],
    permission_classes=[AllowAny],
)


class SwaggerUI(SwaggerUIRenderer):
    template = "hopla/swagger-ui.html"


class ReDoc(ReDocRenderer):
    template = "hopla/redoc.html"


swagger_json = SchemaView.as_view(renderer_classes=[SwaggerJSONRenderer])
swagger_ui = show_documentation(SchemaView.as_view(renderer_classes=[SwaggerUI]))
redoc = show_documentation(SchemaView.as_view(renderer_classes=[ReDoc]))
